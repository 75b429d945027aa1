"""The lock: one process at a time, and an error that says so."""

from __future__ import annotations

import errno
import subprocess
import sys
import time
from pathlib import Path

import pytest

from fieldwise.errors import StorageError
from fieldwise.storage import lock


def test_a_folder_is_held_by_one_at_a_time(tmp_path: Path) -> None:
    folder = tmp_path / "in" / "new"
    assert not lock.is_held(folder)
    for _ in range(2):
        with lock.hold(folder):
            assert lock.is_held(folder)
            with pytest.raises(StorageError, match=r"another process works in .*new; wait for it") as caught:
                lock.hold(folder).__enter__()
            assert (caught.value.errno, caught.value.filename) == (errno.EAGAIN, str(folder))
            with pytest.raises(StorageError, match=r"^busy$"):
                lock.hold(folder, busy="busy").__enter__()
        assert not lock.is_held(folder)


def test_another_process_holds_it_until_it_is_killed(tmp_path: Path) -> None:
    code = (
        "import sys, time\n"
        "from pathlib import Path\n"
        "from fieldwise.storage import lock\n"
        "with lock.hold(Path(sys.argv[1])):\n"
        "    Path(sys.argv[1], 'ready').touch()\n"
        "    time.sleep(60)\n"
    )
    with subprocess.Popen([sys.executable, "-c", code, str(tmp_path)]) as other:
        try:
            while not (tmp_path / "ready").exists():
                assert other.poll() is None
                time.sleep(0.01)
            assert lock.is_held(tmp_path)
        finally:
            other.kill()
    with lock.hold(tmp_path):
        pass


def test_what_a_killed_writer_has_left_is_cleared_away(tmp_path: Path) -> None:
    (tmp_path / "deeper").mkdir()
    (tmp_path / "deeper" / ".new-0123abcd.state.safetensors").touch()
    (tmp_path / "mine").touch()
    with lock.hold(tmp_path):
        assert {path.name for path in tmp_path.rglob("*")} - {lock.NAME} == {"deeper", "mine"}


def test_a_place_that_cannot_be_written_to(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StorageError, match=r"cannot write .*file/folder: Not a directory") as caught:
        lock.hold(tmp_path / "file" / "folder").__enter__()
    assert caught.value.errno == errno.ENOTDIR
