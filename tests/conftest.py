"""Shared fixtures: where real data lies, and a small click log made by the tests themselves."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
import torch


@pytest.fixture(scope="session", autouse=True)
def _one_thread() -> Iterator[None]:
    """Toy models are too small to share out; threads that wait for each other make busy machines crawl."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="session")
def data_dir() -> Path:
    """The folder of raw data sets; tests that need it are skipped where it is not set."""
    folder = os.environ.get("FIELDWISE_DATA")
    if not folder:
        pytest.skip("FIELDWISE_DATA is not set; it names the folder with the raw data sets")
    return Path(folder)


@pytest.fixture
def ctrl_c() -> Iterator[None]:
    """Ctrl-C as in a terminal, also where the tests run with it ignored."""
    previous = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, previous)


def make_clicks(num_rows: int = 2000, *, seed: int = 0) -> pa.Table:
    """A small log with every kind of column; `user` and `device` decide the clicks, with some noise."""
    rng = np.random.default_rng(seed)
    user = rng.integers(0, 40, num_rows)
    device = rng.choice(["phone", "tablet", "desktop"], num_rows)
    price = np.round(rng.lognormal(3, 1, num_rows), 2)
    missing = rng.random(num_rows) < 0.05
    tags = [
        "|".join(rng.choice(["red", "green", "blue", "grey"], rng.integers(1, 4), replace=False))
        for _ in range(num_rows)
    ]
    logit = np.where(user % 2 == 0, 1.5, -1.5) + np.where(device == "phone", 1.0, -1.0)
    click = (rng.random(num_rows) < 1 / (1 + np.exp(-logit))).astype(int)
    return pa.table(
        {
            "click": click,
            "user": user + 1_000_000,
            "device": device,
            "price": pa.array(price, mask=missing),
            "tags": tags,
        }
    )


@pytest.fixture(scope="session")
def clicks() -> pa.Table:
    """2,000 rows of `make_clicks`."""
    return make_clicks()


def _write_movielens(folder: Path) -> Path:
    folder.mkdir(parents=True)
    (folder / "users.dat").write_text("1::F::1::10::48067\n2::M::56::16::70072\n")
    (folder / "movies.dat").write_text("1::Toy Story (1995)::Animation|Comedy\n2::Jumanji (1995)::Adventure\n")
    (folder / "ratings.dat").write_text("1::1::5\n1::2::1\n2::1::4\n2::2::2\n" * 100)
    return folder


@pytest.fixture(scope="session")
def write_movielens() -> Callable[[Path], Path]:
    """Writes the files of MovieLens-1M into a new folder: 400 ratings, each of 1 or 2, or of 4 or 5."""
    return _write_movielens


@pytest.fixture
def movielens(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder that such files lie in; the data set `movielens-1m` is read from there."""
    base = tmp_path_factory.mktemp("data")
    monkeypatch.setenv("FIELDWISE_DATA", str(base))
    return _write_movielens(base / "movielens-1m")


@pytest.fixture
def wide(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tables with all their columns, whatever the terminal that the tests run in."""
    monkeypatch.setenv("COLUMNS", "140")
