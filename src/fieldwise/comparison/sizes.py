"""How many parameters the models have at the sizes of the papers' data sets, from the models themselves."""

from __future__ import annotations

from dataclasses import dataclass

from fieldwise.errors import SettingsError, suggest
from fieldwise.layout import FIRST_TOKEN, FieldLayout, Kind, Layout
from fieldwise.models import registry
from fieldwise.models.base import count_parameters

_SIZES: dict[str, tuple[tuple[int, int, int], int]] = {
    "criteo": ((13, 26, 0), 998_960),
    "avazu": ((0, 23, 0), 1_544_488),
    "kdd12": ((3, 10, 0), 6_019_086),
    "movielens-1m": ((1, 5, 1), 3_529),
}
"""Numeric, categorical and multi-valued fields, and features in all (Song et al., CIKM 2019, table 1)."""

_PRINTED = {
    "criteo": {"deepcrossing": "1.6e5", "crossnet": "3e3", "cin": "1.9e6", "nfm": "4e3", "autoint": "3.9e4"},
}
"""The paper's table 3."""

_PRESETS = ("autoint-paper", "reference", "paper")


@dataclass(frozen=True)
class Size:
    """A model's parameters.

    Attributes:
        model: its registered name.
        preset: whose settings were taken, None for the defaults.
        without_embeddings: parameters but for the embedding tables.
        all: parameters.
        printed: those in the paper, without embeddings.
    """

    model: str
    preset: str | None
    without_embeddings: int
    all: int
    printed: str


def layout_at(dataset: str) -> Layout:
    """A layout of a published data set's sizes, its features dealt out evenly.

    Args:
        dataset: its name.

    Returns:
        The layout.

    Raises:
        SettingsError: the sizes of no such data set are known.

    Example:
        >>> len(layout_at("criteo"))
        39
    """
    if dataset not in _SIZES:
        raise SettingsError(f"unknown data set '{dataset}'; {suggest(dataset, _SIZES)}")
    counts, features = _SIZES[dataset]
    tokens = features - counts[0]
    share, more = divmod(tokens, counts[1] + counts[2])
    fields: list[FieldLayout] = []
    dealt = 0
    kinds: tuple[Kind, ...] = ("numeric", "categorical", "multi_valued")
    for kind, number in zip(kinds, counts, strict=True):
        for _ in range(number):
            size = FIRST_TOKEN if kind == "numeric" else FIRST_TOKEN + share + (dealt < more)
            dealt += kind != "numeric"
            fields.append(FieldLayout(f"{kind} {len(fields) + 1}", kind, size))
    return Layout(tuple(fields))


def sizes_at(dataset: str) -> list[Size]:
    """The parameters of every registered model at a data set's sizes, with the AutoInt paper's settings where known.

    Args:
        dataset: its name.

    Returns:
        One per model.

    Raises:
        SettingsError: as `layout_at` does.
    """
    layout, sizes = layout_at(dataset), []
    for name in registry.names():
        preset = next((preset for preset in _PRESETS if preset in registry.presets(name)), None)
        model = registry.sketch(name, layout, registry.resolve(name, preset=preset))
        sizes.append(
            Size(
                name,
                preset,
                count_parameters(model, embeddings=False),
                count_parameters(model),
                _PRINTED.get(dataset, {}).get(name, ""),
            )
        )
    return sizes
