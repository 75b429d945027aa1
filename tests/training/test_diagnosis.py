"""What is said of a loss that is not a number, and of a training that other settings would do better in."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from fieldwise.data.batch import Batch
from fieldwise.layout import FieldLayout, Layout
from fieldwise.models import build
from fieldwise.training.diagnosis import explain_nan, remarks
from fieldwise.training.history import EpochRecord, History

LAYOUT = Layout((FieldLayout("user", "categorical", 5), FieldLayout("price", "numeric", 2)))


def explain(price: float, *, broken: bool = False) -> str:
    model = build("lr", LAYOUT)
    if broken:
        with torch.no_grad():
            model.get_submodule("weights.table").weight[LAYOUT.offsets[0] + 3] = math.nan  # type: ignore[operator]
    batch = Batch(torch.ones(2, 1, dtype=torch.int64), torch.tensor([[0.5], [price]]))
    return explain_nan(model, LAYOUT, batch, np.array([7, 2]), epoch=3, number=4, learning_rate=0.1)


def test_where_and_what_to_do() -> None:
    said = explain(1.0)
    assert said.startswith("the loss is not a number in epoch 3, batch 4 (training rows 8, 3, …)")
    assert "training.learning_rate, now 0.1" in said


def test_a_column_of_huge_numbers_is_blamed() -> None:
    assert "column 'price' holds 1e+30 after scaling" in explain(1e30)
    assert "column 'price' holds inf after scaling" in explain(math.inf)


def test_missing_numbers_are_not_blamed_but_a_broken_embedding_is() -> None:
    said = explain(math.nan, broken=True)
    assert "holds" not in said
    assert "the embedding of column 'user' is not finite" in said


@pytest.mark.parametrize(
    ("losses", "best", "ended", "said"),
    [
        ([0.5, 0.6, 0.7], 1, "early stop", ["'user' has the fewest rows per token (30)"]),
        ([0.5, 0.6], 1, "all epochs", ["validation was best after the first epoch: the model learns rows by heart"]),
        (
            [0.7, 0.6, 0.5],
            3,
            "all epochs",
            ["improved in the last of 3 epochs: more may be better (training.epochs=6)"],
        ),
        ([0.7, 0.5, 0.6], 2, "early stop", []),
        ([0.7, 0.6, 0.5], 3, "interrupted", []),
        ([0.5], 1, "all epochs", []),
    ],
)
def test_the_course_of_a_training(losses: list[float], best: int, ended: str, said: list[str]) -> None:
    times = {"learning_rate": 1e-3, "rows_per_s": 9.0, "seconds": 2.0, "train_loss": 0.5}
    records = [EpochRecord(epoch=i, valid={"log_loss": loss}, **times) for i, loss in enumerate(losses, start=1)]
    history = History.model_validate({"records": records, "best_epoch": best, "ended": ended})
    told = remarks(history, LAYOUT, rows=90)
    assert len(told) == len(said)
    assert all(part in text for part, text in zip(said, told, strict=True))
