"""Layouts and random batches for the tests of models."""

from __future__ import annotations

import math

import pytest
import torch

from fieldwise.data.batch import PADDING, Batch
from fieldwise.layout import MISSING, FieldLayout, Layout

LAYOUTS = {
    "mixed": ("numeric", "categorical", "multi_valued", "categorical", "numeric"),
    "categorical": ("categorical", "categorical", "categorical"),
    "numeric": ("numeric", "numeric", "numeric"),
    "multi_valued": ("multi_valued", "multi_valued"),
}


@pytest.fixture(scope="session")
def layouts() -> dict[str, Layout]:
    """One layout with every kind of field, and one of each kind alone; vocabularies of 8 rows."""
    return {
        name: Layout(tuple(FieldLayout(f"f{i}", kind, 2 if kind == "numeric" else 8) for i, kind in enumerate(kinds)))
        for name, kinds in LAYOUTS.items()
    }


@pytest.fixture(scope="session")
def make_batch():
    """A function that draws random rows for a layout: lists of one to three values, labels of both kinds."""

    def make(layout: Layout, size: int, *, seed: int = 0, missing: float = 0.2) -> Batch:
        generator = torch.Generator().manual_seed(seed)

        def ids(*shape: int) -> torch.Tensor:
            drawn = torch.randint(1, 8, shape, generator=generator)
            return drawn.masked_fill(torch.rand(shape, generator=generator) < missing, MISSING)

        lists = []
        for _ in layout.multi_valued:
            drawn = torch.randint(1, 8, (size, 3), generator=generator)
            lengths = torch.randint(1, 4, (size, 1), generator=generator)
            drawn = drawn.masked_fill(torch.arange(3) >= lengths, PADDING)
            gone = torch.rand(size, generator=generator) < missing
            drawn[gone] = torch.tensor([MISSING, PADDING, PADDING])
            lists.append(drawn)
        numeric = torch.randn(size, len(layout.numeric), generator=generator)
        return Batch(
            categorical=ids(size, len(layout.categorical)),
            numeric=numeric.masked_fill(torch.rand(numeric.shape, generator=generator) < missing, math.nan),
            multi_valued=tuple(lists),
            label=(torch.arange(size) % 2).float(),
        )

    return make
