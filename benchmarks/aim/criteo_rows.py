"""Made-up rows of Criteo's sizes, for measuring what things cost; what is in them cannot be learnt."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from fieldwise.comparison.sizes import layout_at
from fieldwise.data.dataset import Dataset
from fieldwise.encoding.encoded import EncodedRows, EncodingReport
from fieldwise.layout import FIRST_TOKEN, FieldLayout, Layout

MOST_FIELDS = 39
ZIPF = 1.1
"""The share of the r-th most frequent token falls as r^-ZIPF."""


def criteo_layout(fields: int, *, shrink: int = 1) -> Layout:
    """Criteo's fields, or so many of them, numeric and categorical ones in proportion. shrink: divides vocabularies."""
    everything = layout_at("criteo").fields
    chosen = [everything[int((i + 0.5) * MOST_FIELDS / fields)] for i in range(fields)]
    return Layout(tuple(FieldLayout(f.name, f.kind, max(f.size // shrink, FIRST_TOKEN)) for f in chosen))


def criteo_rows(layout: Layout, rows: int, *, seed: int = 0) -> Dataset:
    """Tokens by Zipf's law, normal numbers, and clicks that depend on nothing; the same for the same arguments."""
    generator = np.random.default_rng(seed)
    columns = [_tokens(layout.fields[f].size, rows, generator) for f in layout.categorical]
    ids = np.stack(columns, axis=1) if columns else np.empty((rows, 0), np.int32)
    numbers = generator.standard_normal((rows, len(layout.numeric)), dtype=np.float32)
    label = (generator.random(rows) < 0.5).astype(np.float32)
    return Dataset(layout, EncodedRows(ids, numbers, (), EncodingReport()), label=label)


def _tokens(size: int, rows: int, generator: np.random.Generator) -> npt.NDArray[np.int32]:
    """Ids [rows]; those of missing and other values are among the frequent ones."""
    shares = np.arange(1, size + 1) ** -ZIPF
    steps = np.cumsum(shares) / shares.sum()
    return np.searchsorted(steps[:-1], generator.random(rows)).astype(np.int32)
