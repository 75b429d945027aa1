"""Writing: whole or not at all, whatever happens on the way."""

from __future__ import annotations

import errno
import os
import pickle
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from fieldwise.errors import DataError, StorageError
from fieldwise.storage import atomic

posix = pytest.mark.skipif(sys.platform == "win32", reason="needs links, modes and signals of POSIX")


def listing(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def write_in_block(path: Path, content: str) -> None:
    with atomic.new_file(path) as work:
        assert work.parent == path.parent
        assert work.name.endswith(path.name)
        work.write_text(content)


def write_stream(path: Path, content: str) -> None:
    with atomic.open_new(path) as file:
        file.write(content.encode())


WRITERS = [write_in_block, write_stream, atomic.write_text, lambda path, text: atomic.write_bytes(path, text.encode())]
Writer = Callable[[Path, str], Any]


@pytest.mark.parametrize("write", WRITERS)
def test_files_are_written_and_replaced(tmp_path: Path, write: Writer) -> None:
    path = tmp_path / "in" / "new" / "folders" / "a.json"
    write(path, "one")
    assert path.read_text() == "one"
    write(path, "two")
    assert path.read_text() == "two"
    assert listing(path.parent) == ["a.json"]


def test_line_ends_stay_as_they_are(tmp_path: Path) -> None:
    atomic.write_text(tmp_path / "a", "ä\r\nb\n")
    assert (tmp_path / "a").read_bytes() == "ä\r\nb\n".encode()


def test_a_name_as_long_as_can_be(tmp_path: Path) -> None:
    atomic.write_text(tmp_path / ("n" * 251 + ".csv"), "long")
    assert len(listing(tmp_path)) == 1


def test_tensors(tmp_path: Path) -> None:
    tensors = {"a": torch.arange(6).view(2, 3).T, "b": torch.ones(())}
    path = atomic.write_tensors(tmp_path / "w.safetensors", tensors, {"format": "mine"})
    assert all(torch.equal(tensor, tensors[name]) for name, tensor in load_file(path).items())


@posix
@pytest.mark.parametrize("umask", [0o022, 0o077, 0o002])
def test_files_and_directories_are_as_visible_as_any_new_one(tmp_path: Path, umask: int) -> None:
    before = os.umask(umask)
    try:
        atomic.write_text(tmp_path / "a", "")
        atomic.write_tensors(tmp_path / "b", {"x": torch.zeros(1)})
        atomic.write_bytes(tmp_path / "c", b"", mode=0o700)
        with atomic.new_directory(tmp_path / "d"):
            pass
    finally:
        os.umask(before)
    modes = {path.name: path.stat().st_mode & 0o777 for path in tmp_path.iterdir()}
    assert modes == {"a": 0o666 & ~umask, "b": 0o666 & ~umask, "c": 0o700 & ~umask, "d": 0o777 & ~umask}


# Links and other things in the place


@posix
@pytest.mark.parametrize("write", WRITERS)
def test_a_link_is_replaced_and_its_target_left_alone(tmp_path: Path, write: Writer) -> None:
    (tmp_path / "precious").write_text("precious")
    for target in ("precious", "nowhere", "link"):
        (tmp_path / "link").unlink(missing_ok=True)
        (tmp_path / "link").symlink_to(tmp_path / target)
        write(tmp_path / "link", "new")
        assert not (tmp_path / "link").is_symlink()
        assert (tmp_path / "link").read_text() == "new"
        assert (tmp_path / "precious").read_text() == "precious"
        assert listing(tmp_path) == ["link", "precious"]


@posix
@pytest.mark.parametrize("write", WRITERS)
def test_what_is_no_file_is_not_replaced_by_one(tmp_path: Path, write: Writer) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "device").symlink_to(os.devnull)
    os.mkfifo(tmp_path / "pipe")
    for name, message in [
        ("folder", "it is a directory; name a file in it"),
        ("device", "it is a device or a pipe, not a file; nothing was written"),
        ("pipe", "it is a device or a pipe, not a file; nothing was written"),
    ]:
        with pytest.raises(StorageError) as caught:
            write(tmp_path / name, "new")
        assert str(caught.value) == f"cannot write {tmp_path / name}: {message}"
    assert listing(tmp_path) == ["device", "folder", "pipe"]


# Failures


@pytest.mark.parametrize("write", WRITERS)
def test_the_error_is_an_os_error_with_a_sentence(tmp_path: Path, write: Writer) -> None:
    (tmp_path / "file").touch()
    path = tmp_path / "file" / "a.json"
    with pytest.raises(OSError) as caught:
        write(path, "x")
    error = caught.value
    assert isinstance(error, StorageError)
    assert (error.errno, error.filename, error.strerror) == (errno.ENOTDIR, str(path), "Not a directory")
    assert str(error) == f"cannot write {path}: Not a directory; nothing was written"
    again = pickle.loads(pickle.dumps(error))  # noqa: S301
    assert (str(again), again.errno, again.filename) == (str(error), error.errno, error.filename)


def fail_in_file(path: Path, error: BaseException) -> None:
    with atomic.open_new(path) as file:
        file.write(b"half")
        raise error


def fail_in_directory(path: Path, error: BaseException) -> None:
    with atomic.new_directory(path) as work:
        (work / "half").write_text("half")
        raise error


@pytest.mark.parametrize("error", [KeyboardInterrupt(), DataError("mine"), ZeroDivisionError()])
def test_an_error_of_the_block_leaves_what_was_there(tmp_path: Path, error: BaseException) -> None:
    atomic.write_text(tmp_path / "a", "old")
    for path in (tmp_path / "a", tmp_path / "b", tmp_path / "c" / "d"):
        with pytest.raises(type(error)) as caught:
            fail_in_file(path, error)
        assert caught.value is error
        with pytest.raises(type(error)) as caught:
            fail_in_directory(path.with_name(f"{path.name}-2"), error)
        assert caught.value is error
    assert (tmp_path / "a").read_text() == "old"
    assert listing(tmp_path) == ["a"]


def test_an_os_error_of_a_file_block_is_the_files(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match=r"cannot write .*a: Input/output error") as caught:
        fail_in_file(tmp_path / "a", OSError(errno.EIO, "Input/output error"))
    assert caught.value.errno == errno.EIO
    with pytest.raises(StorageError, match="the other"):
        fail_in_file(tmp_path / "a", StorageError("the other"))
    assert listing(tmp_path) == []


def test_an_os_error_of_a_directory_block_is_its_own(tmp_path: Path) -> None:
    def write_below_a_file() -> None:
        with atomic.new_directory(tmp_path / "a") as work:
            (work / "file").touch()
            atomic.write_text(work / "file" / "b", "")

    with pytest.raises(ConnectionError):
        fail_in_directory(tmp_path / "a", ConnectionError("such as a download's"))
    with pytest.raises(StorageError) as caught:
        write_below_a_file()
    assert str(caught.value) == f"cannot write {tmp_path / 'a'}: Not a directory; nothing was written"
    assert listing(tmp_path) == []


FULL_DISK = """
import os, sys
from pathlib import Path
import torch
from fieldwise.errors import StorageError
from fieldwise.storage import atomic

disk = Path(sys.argv[1])
atomic.write_text(disk / "a.json", "old")

def whole(work):
    atomic.write_bytes(work / "b", bytes(500_000))

def directory():
    with atomic.new_directory(disk / "new") as work:
        whole(work)

for write in (
    lambda: atomic.write_bytes(disk / "a.json", bytes(500_000)),
    lambda: atomic.write_tensors(disk / "w.safetensors", {"x": torch.zeros(500_000)}),
    directory,
):
    try:
        write()
    except StorageError as error:
        print(error.errno, error)
print(sorted(os.listdir(disk)), (disk / "a.json").read_text())
"""


@posix
def test_a_disk_that_is_really_full(tmp_path: Path) -> None:
    mount = f"mount -t tmpfs -o size=256k none {tmp_path} && exec "
    unshare = ["unshare", "--user", "--map-root-user", "--mount", "sh", "-c"]
    if shutil.which("unshare") is None or subprocess.run([*unshare, f"{mount}true"], capture_output=True).returncode:
        pytest.skip("no small file system can be mounted here")
    command = f'{mount}"$0" -c "$1" {tmp_path}'
    done = subprocess.run([*unshare, command, sys.executable, FULL_DISK], capture_output=True, text=True, check=True)
    *errors, left = done.stdout.splitlines()
    assert errors == [
        f"{errno.ENOSPC} cannot write {tmp_path / name}: No space left on device; nothing was written"
        for name in ("a.json", "w.safetensors", "new")
    ]
    assert left == "['a.json'] old"


DENIED = """
import os, sys
from pathlib import Path
from fieldwise.errors import StorageError
from fieldwise.storage import atomic
folder = Path(sys.argv[1])
if os.geteuid() == 0:
    os.chdir(folder)  # where nobody may not come through the folders above
    folder = Path(".")
    os.setuid(65534)  # root may write everywhere
for write in (
    lambda: atomic.write_text(folder / "a", ""),
    lambda: atomic.make_folder(folder / "b"),
    lambda: atomic.require_writable(folder / "c"),
):
    try:
        write()
    except StorageError as error:
        print(error.errno, error)
"""


@posix
def test_a_folder_that_may_not_be_written_to(tmp_path: Path) -> None:
    tmp_path.chmod(0o555)
    try:
        done = subprocess.run([sys.executable, "-c", DENIED, tmp_path], capture_output=True, text=True, check=True)
    finally:
        tmp_path.chmod(0o755)
    lines = done.stdout.splitlines()
    assert len(lines) == 3
    for line in lines:
        assert line.startswith(f"{errno.EACCES} cannot write ")
        assert "Permission denied" in line


# What is on disk when


def test_the_content_reaches_the_disk_before_the_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    done: list[str] = []
    sync, replace = os.fsync, Path.replace

    def synced(handle: int) -> None:
        done.append("sync folder" if os.path.isdir(f"/proc/self/fd/{handle}") else "sync file")  # noqa: PTH112
        sync(handle)

    def replaced(self: Path, target: Path) -> Path:
        done.append("rename")
        return replace(self, target)

    monkeypatch.setattr(os, "fsync", synced)
    monkeypatch.setattr(Path, "replace", replaced)
    atomic.write_text(tmp_path / "a", "x")
    if Path("/proc/self/fd").exists():
        assert done == ["sync file", "rename", "sync folder"]


@posix
@pytest.mark.parametrize("form", ["file", "directory"])
def test_a_process_killed_between_write_and_rename(tmp_path: Path, form: str) -> None:
    code = (
        "import os, signal, sys\n"
        "from pathlib import Path\n"
        "from fieldwise.storage import atomic\n"
        "path, form = Path(sys.argv[1]), sys.argv[2]\n"
        "def kill(*_, **__): os.kill(os.getpid(), signal.SIGKILL)\n"
        "if form == 'file':\n"
        "    Path.replace = kill\n"
        "    atomic.write_text(path, 'new')\n"
        "with atomic.new_directory(path, replace=True) as work:\n"
        "    atomic.write_text(work / 'x', 'new')\n"
        "    atomic.put_in_place = kill\n"
    )
    path = tmp_path / "a"
    if form == "file":
        path.write_text("old")
    else:
        path.mkdir()
        (path / "x").write_text("old")
    done = subprocess.run([sys.executable, "-c", code, str(path), form], check=False)
    assert done.returncode == -signal.SIGKILL
    assert (path if form == "file" else path / "x").read_text() == "old"
    left = [p for p in tmp_path.iterdir() if p != path]
    assert len(left) == 1
    assert atomic.is_leftover(left[0])
    (tmp_path / ".new-idea.txt").write_text("mine")
    atomic.remove_leftovers(tmp_path)
    assert listing(tmp_path) == [".new-idea.txt", "a"]


# Directories


def test_a_directory_takes_the_place_of_nothing_or_of_an_old_one(tmp_path: Path) -> None:
    path = tmp_path / "in" / "model"
    for content, replace in (("one", False), ("two", True)):
        with atomic.new_directory(path, replace=replace) as work:
            atomic.write_text(work / "deeper" / "x", content)
        assert (path / "deeper" / "x").read_text() == content
        assert listing(path.parent) == ["model"]
    with pytest.raises(StorageError, match="File exists; nothing was written") as caught, atomic.new_directory(path):
        pass
    assert caught.value.errno == errno.EEXIST
    assert (path / "deeper" / "x").read_text() == "two"
    assert listing(path.parent) == ["model"]


@posix
def test_a_directory_that_replaces_a_link(tmp_path: Path) -> None:
    (tmp_path / "precious").mkdir()
    (tmp_path / "precious" / "x").write_text("precious")
    (tmp_path / "link").symlink_to(tmp_path / "precious")
    with suppress(StorageError), atomic.new_directory(tmp_path / "link"):
        pass
    assert (tmp_path / "link").is_symlink()
    with atomic.new_directory(tmp_path / "link", replace=True) as work:
        atomic.write_text(work / "x", "new")
    assert (tmp_path / "link" / "x").read_text() == "new"
    assert (tmp_path / "precious" / "x").read_text() == "precious"
    assert listing(tmp_path) == ["link", "precious"]
