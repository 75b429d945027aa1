"""Shared fixtures: where real data lies, and a small click log made by the tests themselves."""

from __future__ import annotations

import os
from collections.abc import Iterator
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
