"""One thread for what is small."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import numpy as np
import pyarrow as pa
import pytest
import torch

import fieldwise as fw
from fieldwise.native.threads import one_thread, torch_threads
from fieldwise.training.evaluation import ONE_THREAD_ROWS

pytestmark = pytest.mark.skipif(torch_threads() is None, reason="torch's threads are not OpenMP's")


@pytest.fixture
def three_threads() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(3)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def predictor(clicks: pa.Table) -> fw.Predictor:
    return fw.train(clicks, label="click", model="fm", settings={"epochs": 1}, progress=False)


@pytest.mark.usefixtures("three_threads")
def test_only_this_thread_and_only_within() -> None:
    counts: list[int] = []
    with one_thread():
        assert torch.get_num_threads() == 1
        other = threading.Thread(target=lambda: counts.append(torch.get_num_threads()))
        other.start()
        other.join()
    assert (torch.get_num_threads(), counts) == (3, [3])


@pytest.mark.usefixtures("three_threads")
def test_few_rows_are_predicted_in_one_thread(clicks: pa.Table, predictor: fw.Predictor) -> None:
    counts: list[int] = []
    network = predictor.model.network  # type: ignore[attr-defined]
    network.register_forward_hook(lambda *_: counts.append(torch.get_num_threads()))
    few = predictor.predict(clicks.slice(0, ONE_THREAD_ROWS))
    more = predictor.predict(clicks.slice(0, ONE_THREAD_ROWS + 1))
    assert counts == [1, 3]
    assert np.array_equal(few, more[:-1])
