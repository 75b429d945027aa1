"""Compiling kernels: what is cached is used, and whatever is wrong is said and not fatal."""

from __future__ import annotations

import ctypes
import os
import shutil
from pathlib import Path

import pytest
import torch

from fieldwise.native import build
from fieldwise.native import interacting as native
from fieldwise.native.build import BuildError, library_or_reason, load_library

pytestmark = pytest.mark.skipif(os.name != "posix", reason="kernels are for Linux")
PLAIN = native.Options(num_heads=1, residual=None, relu_heads=False, relu_residual=False, dropout=0.0, epsilon=1e-8)
SOURCE = 'extern "C" int answer() { return 42; }\n'


@pytest.fixture
def source(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.delenv("CXX", raising=False)
    path = tmp_path / "answer.cpp"
    path.write_text(SOURCE)
    return path


def libraries(tmp_path: Path) -> list[Path]:
    return sorted((tmp_path / "cache" / "fieldwise" / "kernels").iterdir())


def answer(library: ctypes.CDLL) -> int:
    return int(library.answer())


def compiler_that(tmp_path: Path, script: str) -> str:
    path = tmp_path / "compiler"
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
    return str(path)


def test_a_library_is_compiled_once(source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert answer(load_library(source)) == 42
    (library,) = libraries(tmp_path)
    assert library.stat().st_mode & 0o777 == library.parent.stat().st_mode & 0o777 == 0o700
    monkeypatch.setattr(build, "_compile", lambda *_: pytest.fail("compiled again"))
    assert answer(load_library(source)) == 42


def test_another_source_or_flag_is_another_library(source: Path, tmp_path: Path) -> None:
    load_library(source)
    load_library(source, ("-g0",))
    source.write_text(SOURCE.replace("42", "43"))
    assert answer(load_library(source)) == 43
    assert len(libraries(tmp_path)) == 3


@pytest.mark.parametrize(
    "damage", [lambda data: data[: len(data) // 2], lambda data: b"", lambda data: data[:-1] + b"?"]
)
def test_a_damaged_library_is_made_anew(source: Path, tmp_path: Path, damage: object) -> None:
    assert callable(damage)
    load_library(source)
    (library,) = libraries(tmp_path)
    whole = library.read_bytes()
    library.unlink()  # what is loaded already must not change
    library.write_bytes(damage(whole))
    library.chmod(0o700)
    assert answer(load_library(source)) == 42
    assert len(library.read_bytes()) == len(whole)


def test_a_whole_file_that_is_no_library_is_made_anew(source: Path, tmp_path: Path) -> None:
    load_library(source)
    (library,) = libraries(tmp_path)
    library.unlink()
    content = b"of another system"
    library.write_bytes(content + build.hashlib.sha256(content).digest())
    library.chmod(0o700)
    assert answer(load_library(source)) == 42


def test_no_compiler(source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(BuildError, match=r"no C\+\+ compiler found"):
        load_library(source)
    monkeypatch.setenv("CXX", "nowhere++")
    with pytest.raises(BuildError, match="'nowhere\\+\\+' that CXX names is not there"):
        load_library(source)


def test_what_was_compiled_is_used_without_a_compiler(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    load_library(source)
    (library,) = libraries(tmp_path)
    monkeypatch.setenv("PATH", str(tmp_path / "empty"))
    assert answer(load_library(source)) == 42
    library.parent.chmod(0o500)  # as in a home that can only be read
    assert answer(load_library(source)) == 42
    library.parent.chmod(0o700)
    with pytest.raises(BuildError, match=r"no C\+\+ compiler found"):
        load_library(source, ("-g0",))
    damaged = library.read_bytes()[:-1]
    library.unlink()  # the file itself is loaded: writing into it would end this process
    library.write_bytes(damaged)
    library.chmod(0o700)
    with pytest.raises(BuildError, match=r"no C\+\+ compiler found"):
        load_library(source)


def test_why_there_are_no_kernels_is_said_once(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path / "empty"))
    build._say_why_not.cache_clear()
    for _ in range(2):
        assert str(library_or_reason(source)).startswith("no C++ compiler found")
    assert [record.getMessage()[:80] for record in caplog.records] == [
        "kernels are not used, torch computes in their place: no C++ compiler found; inst"
    ]
    assert caplog.records[0].levelname == "WARNING"


def test_a_compiler_may_come_with_arguments(source: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = shutil.which("c++") or shutil.which("g++")
    monkeypatch.setenv("CXX", f"{found} -DUNUSED=1")
    assert answer(load_library(source)) == 42


@pytest.mark.parametrize(
    ("script", "message"),
    [
        ('[ "$1" = --version ] && exit 0; echo "x.cpp:1: error: no such thing" >&2; exit 1', "error: no such thing"),
        ('[ "$1" = --version ] && exit 0; exit 7', "status 7"),
        ("exit 1", "status 1"),
        ("exit 0", "No such file"),  # says that it went well and writes nothing
    ],
)
def test_a_compiler_that_fails(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, script: str, message: str
) -> None:
    monkeypatch.setenv("CXX", compiler_that(tmp_path, script))
    with pytest.raises(BuildError, match=message):
        load_library(source)
    assert libraries(tmp_path) == []


def test_a_compiler_that_never_ends(source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CXX", compiler_that(tmp_path, "exec sleep 60"))
    monkeypatch.setattr(build, "PATIENCE", 0.1)
    with pytest.raises(BuildError, match="took longer than"):
        load_library(source)


def test_a_compiler_that_writes_rubbish(source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    script = 'for last; do :; done; [ "$1" = --version ] || echo rubbish > "$last"'
    monkeypatch.setenv("CXX", compiler_that(tmp_path, script))
    with pytest.raises(BuildError, match=r"\.so"):
        load_library(source)


def test_a_cache_folder_that_cannot_be_made(source: Path, tmp_path: Path) -> None:
    (tmp_path / "cache").write_text("a file")
    with pytest.raises(BuildError, match="cache"):
        load_library(source)


def test_a_cache_folder_that_cannot_be_written(source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied", "there")

    monkeypatch.setattr(build.tempfile, "TemporaryDirectory", refuse)  # an administrator may write everywhere
    with pytest.raises(BuildError, match="Permission denied: there"):
        load_library(source)


@pytest.mark.parametrize("what", ["folder", "library"])
def test_what_others_can_write_is_not_loaded(source: Path, tmp_path: Path, what: str) -> None:
    load_library(source)
    (library,) = libraries(tmp_path)
    (library if what == "library" else library.parent).chmod(0o777)
    with pytest.raises(BuildError, match="can be written by others"):
        load_library(source)


def test_a_link_is_not_loaded(source: Path, tmp_path: Path) -> None:
    load_library(source)
    (library,) = libraries(tmp_path)
    library.rename(tmp_path / "elsewhere.so")
    library.symlink_to(tmp_path / "elsewhere.so")
    with pytest.raises(BuildError, match="is a link"):
        load_library(source)


def test_without_a_home_the_reason_is_said(source: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def homeless() -> Path:
        raise RuntimeError("no home")

    monkeypatch.setenv("XDG_CACHE_HOME", "relative")
    monkeypatch.setattr(build.Path, "home", homeless)
    with pytest.raises(BuildError, match="no home directory"):
        load_library(source)


def test_the_layer_falls_back_and_says_why(source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(native.torch.cpu, "_is_avx512_bf16_supported", lambda: True)
    monkeypatch.setenv("PATH", str(tmp_path))
    native.compiled.cache_clear()
    try:
        assert str(native.why_not()).startswith("no C++ compiler found")
        with pytest.raises(RuntimeError, match=r"no C\+\+ compiler found"):
            native.interact(torch.zeros(1, 2, 3), torch.zeros(12, 3), None, None, None, PLAIN)
        native.compiled.cache_clear()
        monkeypatch.setattr(native.torch.cpu, "_is_avx512_bf16_supported", lambda: False)
        assert native.why_not() == "this CPU has no AVX512-BF16"
        native.compiled.cache_clear()
        monkeypatch.setattr(native.platform, "machine", lambda: "aarch64")
        assert native.why_not() == "it is written for Linux on x86-64"
    finally:
        native.compiled.cache_clear()
