"""Logistic regression against a sum worked out by hand."""

from __future__ import annotations

import math

import pytest
import torch

from fieldwise.data.batch import PADDING, Batch
from fieldwise.layout import MISSING, FieldLayout, Layout
from fieldwise.models import build

LAYOUT = Layout(  # rows: 1-4, 5-6, 7-10
    (
        FieldLayout("token", "categorical", 4),
        FieldLayout("number", "numeric", 2),
        FieldLayout("list", "multi_valued", 4),
    )
)
BATCH = Batch(
    categorical=torch.tensor([[2], [MISSING]]),
    numeric=torch.tensor([[-2.0], [math.nan]]),
    multi_valued=(torch.tensor([[2, 3], [MISSING, PADDING]]),),
)


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({}, [0.5 + 3 - 2 * 6 + 9.5, 0.5 + 1 + 5 + 7]),
        ({"missing": "zero"}, [0.5 + 3 - 2 * 6 + 9.5, 0.5]),
        ({"pooling": "sum"}, [0.5 + 3 - 2 * 6 + 19, 0.5 + 1 + 5 + 7]),
    ],
)
def test_hand_computed_logits(settings, expected):
    model = build("lr", LAYOUT, settings)
    with torch.no_grad():
        model.weights.table.weight.copy_(torch.arange(11.0).unsqueeze(-1))
        model.bias.fill_(0.5)
    assert model(BATCH).tolist() == expected


def test_starts_at_even_odds():
    assert build("lr", LAYOUT)(BATCH).tolist() == [0.0, 0.0]
