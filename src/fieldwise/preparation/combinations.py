"""Statistics of field combinations for prepared rows; the training rows' own are made without their labels."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Literal

import numpy as np
import numpy.typing as npt

from fieldwise.data.dataset import Dataset
from fieldwise.encoding.combination_fitting import fit_combinations
from fieldwise.encoding.combinations import Combination
from fieldwise.encoding.encoder import Encoder
from fieldwise.errors import SettingsError, suggest
from fieldwise.layout import Layout
from fieldwise.objectives import Objective


def add_statistics(
    encoder: Encoder,
    parts: Mapping[str, Dataset],
    objective: Objective,
    wanted: Literal["auto", "off"] | Sequence[Sequence[str]],
    *,
    time: npt.NDArray[np.generic] | None,
    seed: int,
) -> tuple[Encoder, dict[str, Dataset], list[str]]:
    """Count combinations in the training rows, and give all rows their statistics.

    Args:
        encoder: of the fields.
        parts: encoded rows with labels, `train` among them.
        objective: what the labels are.
        wanted: as `data.combinations` has it.
        time: of each training row, where rows are split by time: it then learns from earlier ones alone.
        seed: decides which rows learn from which where they are not split by time.

    Returns:
        The encoder with what was counted, the parts with statistics, and what is to be said.

    Raises:
        SettingsError: a combination names what is no field.
    """
    if wanted == "off":
        return encoder, dict(parts), []
    train = parts["train"]
    assert train.label is not None
    fitted = fit_combinations(
        train.rows,
        encoder.layout,
        train.label,
        scale=objective.statistics_scale,
        asked_for=None if isinstance(wanted, str) else [_positions(names, encoder.layout) for names in wanted],
        time=time,
        seed=seed,
    )
    combinations = fitted.combinations
    encoder = encoder.with_combinations(combinations)

    def with_statistics(part: str, rows: Dataset) -> Dataset:
        statistics = fitted.train if part == "train" else combinations.encode(rows.rows)
        return replace(rows, layout=encoder.layout, rows=replace(rows.rows, statistics=statistics))

    notes = [
        f"statistics of {len(combinations.combinations)} combinations of fields: {_shown(combinations.names)}",
        *([fitted.note] if fitted.note else []),
    ]
    return encoder, {part: with_statistics(part, rows) for part, rows in parts.items()}, notes


def _positions(names: Sequence[str], layout: Layout) -> Combination:
    for name in names:
        if name not in layout.names:
            raise SettingsError(f"data.combinations: there is no field '{name}'; {suggest(name, layout.names)}")
    return tuple(sorted(map(layout.names.index, names)))


def _shown(names: Sequence[str], most: int = 5) -> str:
    """Some names, combinations of several fields before single fields."""
    rates = [name for name in names if not name.startswith("count")]
    several = [name for name in rates if "," in name] or rates
    return ", ".join(several[:most]) + (", …" if len(rates) > most else "")
