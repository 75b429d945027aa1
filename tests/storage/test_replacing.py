"""One directory gives way to another: at every moment one of the two is there, whatever is killed on the way."""

from __future__ import annotations

import errno
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from fieldwise.errors import DataError, StorageError
from fieldwise.storage import atomic, replacing

KILLED = """
import os, pathlib, shutil, signal, sys
from fieldwise.storage import atomic, replacing

path, exchange, last = pathlib.Path(sys.argv[1]), sys.argv[2] == "True", int(sys.argv[3])
done = 0

def counted(function):
    def step(*arguments, **keywords):
        global done
        if done == last:
            os.kill(os.getpid(), signal.SIGKILL)
        done += 1
        return function(*arguments, **keywords)
    return step

if not exchange:
    replacing.exchange = lambda *_: False
replacing.exchange = counted(replacing.exchange)
os.fsync = counted(os.fsync)
for name in ("rename", "replace", "mkdir", "unlink"):
    setattr(pathlib.Path, name, counted(getattr(pathlib.Path, name)))
os.unlink, os.rmdir = counted(os.unlink), counted(os.rmdir)
with atomic.new_directory(path, replace=True) as work:
    atomic.write_text(work / "x", "new")
    atomic.write_text(work / "y", "new")
print(done)
"""


def listing(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def content(folder: Path) -> tuple[str, str]:
    return (folder / "x").read_text(), (folder / "y").read_text()


def write(path: Path, text: str) -> None:
    with atomic.new_directory(path, replace=True) as work:
        atomic.write_text(work / "x", text)
        atomic.write_text(work / "y", text)


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="processes cannot be killed so")
@pytest.mark.parametrize("exchange", [True, False])
def test_a_process_killed_at_any_step_leaves_the_old_or_the_new(tmp_path: Path, exchange: bool) -> None:
    seen = []
    for last in range(100):
        path = tmp_path / str(last) / "model"
        write(path, "old")
        words = [sys.executable, "-c", KILLED, str(path), str(exchange), str(last)]
        result = subprocess.run(words, capture_output=True, text=True, check=False)
        seen.append(content(replacing.standing(path)))
        if result.returncode == 0:
            assert listing(path.parent) == ["model"]
            break
        assert result.returncode == -signal.SIGKILL, result.stderr
        write(path, "next")
        assert content(path) == ("next", "next")
        assert not list(path.parent.glob(".old-*"))
    assert set(seen) == {("old", "old"), ("new", "new")}
    assert seen == sorted(seen, reverse=True), "once new, it stays so"
    assert len(seen) > 10


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux exchanges names")
def test_names_are_exchanged(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "b").write_text("b")
    if not replacing.exchange(tmp_path / "a", tmp_path / "b"):
        pytest.skip("this file system does not exchange names")
    assert (tmp_path / "a").read_text() == "b"
    assert (tmp_path / "b").is_dir()
    assert not replacing.exchange(tmp_path / "a", tmp_path / "nothing")
    with pytest.raises(OSError) as caught:
        replacing.exchange(tmp_path / "a", tmp_path / "a" / "c")
    assert caught.value.errno == errno.ENOTDIR


@pytest.mark.parametrize("exchange", [True, False])
@pytest.mark.parametrize("kind", ["nothing", "directory", "file", "link"])
def test_whatever_stood_there_is_replaced(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, exchange: bool, kind: str
) -> None:
    if not exchange:
        monkeypatch.setattr(replacing, "exchange", lambda *_: False)
    path = tmp_path / "place" / "model"
    precious = tmp_path / "precious"
    write(precious, "precious")
    path.parent.mkdir()
    if kind == "directory":
        write(path, "old")
    elif kind == "file":
        path.write_text("old")
    elif kind == "link":
        path.symlink_to(precious)
    write(path, "new")
    assert content(path) == ("new", "new")
    assert content(precious) == ("precious", "precious")
    assert listing(path.parent) == ["model"]


def test_a_writer_that_meets_another_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(replacing, "exchange", lambda *_: False)
    path = tmp_path / "model"
    write(path, "old")
    real = Path.rename

    def rename(self: Path, target: Path) -> Path:
        if target == path:
            monkeypatch.setattr(Path, "rename", real)
            write(path, "other")
        return real(self, target)

    monkeypatch.setattr(Path, "rename", rename)
    write(path, "new")
    assert content(path) == ("new", "new")
    assert listing(tmp_path) == ["model"]


def test_what_was_left_aside_is_something_that_stands_there(tmp_path: Path) -> None:
    path = tmp_path / "model"
    write(path, "old")
    path.rename(replacing._aside(path))
    with pytest.raises(StorageError, match="File exists"), atomic.new_directory(path):
        pass
    assert content(path) == ("old", "old")


def test_reading_is_repeated_only_where_the_directory_is_another_one(tmp_path: Path) -> None:
    path = tmp_path / "model"
    write(path, "old")
    calls: list[Path] = []

    def read(place: Path, *, replaced: bool) -> tuple[str, str]:
        calls.append(place)
        if len(calls) == 1:
            if replaced:
                write(path, "new")
            raise DataError("torn")
        return content(place)

    with pytest.raises(DataError, match="torn"):
        replacing.read_standing(path, lambda place: read(place, replaced=False))
    calls.clear()
    assert replacing.read_standing(path, lambda place: read(place, replaced=True)) == ("new", "new")
    assert calls == [path, path]


def test_a_name_as_long_as_can_be_or_none(tmp_path: Path) -> None:
    path = tmp_path / ("ä" * 120)
    write(path, "old")
    path.rename(replacing._aside(path))
    assert content(replacing.standing(path)) == ("old", "old")
    for name in ("", "/", "a\0b", "\udcff", "\ud800"):
        assert replacing.standing(Path(name)) == Path(name)
