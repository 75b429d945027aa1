"""What a search has found, for people: summaries, differences, click statistics and pictures.

The names below are loaded when they are first used: looking at an architecture needs no torch.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from fieldwise.explain.click_statistics import ClickStatistics, statistics_auc
    from fieldwise.explain.difference import Difference, compare_architectures
    from fieldwise.explain.pictures import draw
    from fieldwise.explain.summary import ArchitectureSummary, summarise

__all__ = [
    "ArchitectureSummary",
    "ClickStatistics",
    "Difference",
    "compare_architectures",
    "draw",
    "statistics_auc",
    "summarise",
]

_HOMES = {
    "ArchitectureSummary": "fieldwise.explain.summary",
    "ClickStatistics": "fieldwise.explain.click_statistics",
    "Difference": "fieldwise.explain.difference",
    "compare_architectures": "fieldwise.explain.difference",
    "draw": "fieldwise.explain.pictures",
    "statistics_auc": "fieldwise.explain.click_statistics",
    "summarise": "fieldwise.explain.summary",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'fieldwise.explain' has no attribute '{name}'")
    return getattr(importlib.import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return __all__
