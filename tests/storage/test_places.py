"""Places: homes, and what must not be lost."""

from __future__ import annotations

from pathlib import Path

import pytest

import fieldwise as fw
from fieldwise.columns.tables import read_table
from fieldwise.errors import StorageError
from fieldwise.storage.atomic import require_writable
from fieldwise.storage.places import expanded, place, require_new_file


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    home = tmp_path / "home"
    home.mkdir()
    monkeypatch.setenv("HOME", str(home))
    return home


def test_only_a_home_that_is_there_is_expanded(home: Path) -> None:
    assert expanded("~") == home
    assert expanded("~/a/b.csv") == expanded(Path("~/a/b.csv")) == home / "a" / "b.csv"
    for name in ("~nobody-of-this-name/a.csv", "~a.csv", "a~.csv", "./~/a.csv", "a/~/b.csv"):
        assert expanded(name) == Path(name)


def test_python_paths_may_begin_with_a_tilde(home: Path) -> None:
    (home / "a.csv").write_text("user,click\nann,1\n")
    assert read_table("~/a.csv").num_rows == 1
    schema = fw.Schema(label="click", fields={"user": "categorical"})
    schema.save("~/schema.json")
    assert fw.Schema.load(home / "schema.json") == fw.Schema.load("~/schema.json") == schema


def test_no_name_is_no_place() -> None:
    for name in ("", " "):
        with pytest.raises(StorageError, match="is empty; name a file or a directory"):
            place(name)


def test_require_writable_leaves_nothing_behind(tmp_path: Path) -> None:
    require_writable(tmp_path / "a" / "b.csv")
    require_writable(tmp_path / "a" / "b", directory=True)
    require_writable(tmp_path, directory=True)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("directory", [False, True])
def test_places_that_cannot_be_written(tmp_path: Path, directory: bool) -> None:
    (tmp_path / "file").write_text("precious")
    (tmp_path / "link").symlink_to(tmp_path / "nowhere")
    for name in ("file/a", "file/a/b", "link/a", "n" * 300):
        with pytest.raises(StorageError, match=r"cannot write .*; nothing was written") as caught:
            require_writable(tmp_path / name, directory=directory)
        assert caught.value.errno
    with pytest.raises(StorageError, match="cannot write"):
        require_writable(tmp_path / ("file" if directory else ""), directory=directory)
    assert {path.name for path in tmp_path.iterdir()} == {"file", "link"}


def test_files_that_are_there_or_read_are_refused(tmp_path: Path) -> None:
    old, link = tmp_path / "old.csv", tmp_path / "link.csv"
    require_new_file(old, overwrite=False, inputs=[old, "-", {"user": []}])  # which is not there yet
    old.touch()
    link.symlink_to(old)
    for path in (old, link):
        with pytest.raises(StorageError, match="exists already; choose another name"):
            require_new_file(path, overwrite=False)
        require_new_file(path, overwrite=True, inputs=["-", "synthetic", tmp_path / "new.csv"])
        with pytest.raises(StorageError, match=r"is the file that is read \(.*old.csv\); write to another one"):
            require_new_file(path, overwrite=True, inputs=["new.csv", str(old)])
