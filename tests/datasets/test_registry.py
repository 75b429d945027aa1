from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from fieldwise.datasets import describe, is_built_in, load_dataset, names
from fieldwise.errors import DataError, SettingsError


def test_names_and_descriptions() -> None:
    assert names() == ("movielens-1m", "movielens-1m-ids", "synthetic")
    assert describe("synthetic").endswith("Options: num_rows=200000, seed=0.")
    for name in names():
        assert "Options: " in describe(name)


def test_synthetic_is_split_80_10_10_within_the_clicks() -> None:
    data = load_dataset("synthetic", options={"num_rows": 2_000, "seed": 3})
    assert data.name == "synthetic"
    assert "best AUC" in data.notes[0]
    click = data.table["click"].to_numpy()
    parts = data.split.train, data.split.valid, data.split.test
    assert [len(part) for part in parts] == [1600, 200, 200]
    assert np.array_equal(np.sort(np.concatenate(parts)), np.arange(2_000))
    assert all(abs(click[part].mean() - click.mean()) < 0.01 for part in parts)
    again = load_dataset("synthetic", options={"num_rows": 2_000, "seed": 3})
    assert again.table.equals(data.table)
    assert np.array_equal(again.split.test, data.split.test)


def test_movielens_options_reach_the_loader(tmp_path: Path) -> None:
    (tmp_path / "users.dat").write_text("1::F::1::10::48067\n")
    (tmp_path / "movies.dat").write_text("1::Heat (1995)::Action\n")
    (tmp_path / "ratings.dat").write_text("1::1::5::1\n1::1::1::2\n")
    plain = load_dataset("movielens-1m", options={"directory": str(tmp_path)})
    assert (plain.name, next(iter(plain.schema.fields))) == ("movielens-1m", "gender")
    ids = load_dataset("movielens-1m-ids", options={"directory": tmp_path})
    assert (ids.name, list(ids.schema.fields)[:2]) == ("movielens-1m-ids", ["user_id", "movie_id"])


def test_unknown_names_and_options_suggest() -> None:
    with pytest.raises(DataError, match=r"unknown data set 'movielens'; did you mean 'movielens-1m'\?"):
        load_dataset("movielens")
    with pytest.raises(DataError, match="known: movielens-1m, movielens-1m-ids, synthetic"):
        describe("qqq")
    with pytest.raises(SettingsError, match=r"'synthetic' has no option 'rows'; did you mean 'num_rows'\?"):
        load_dataset("synthetic", options={"rows": 5})


def test_a_file_is_preferred_to_a_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert is_built_in("synthetic")
    assert not any(map(is_built_in, ("synthetic.csv", Path("synthetic"), ["synthetic"], None)))
    place = tmp_path / "synthetic"
    place.mkdir()  # no table can be read from a folder
    assert is_built_in("synthetic")
    place.rmdir()
    place.touch()
    assert not is_built_in("synthetic")


def test_listing_the_names_imports_no_loader() -> None:
    code = (
        "import sys, fieldwise.datasets as d; d.names(); "
        "print([m for m in ('pyarrow', 'torch', 'fieldwise.datasets.movielens') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
