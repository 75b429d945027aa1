"""Settings from examples/movielens-1m-ids/aim.toml, so that every program here trains in the same way."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from fieldwise.comparison.contenders import plan
from fieldwise.datasets.synthetic import make_search_log
from fieldwise.models import registry
from fieldwise.settings import Settings
from runs import Rows

FILE = Path(__file__).parents[2] / "examples" / "movielens-1m-ids" / "aim.toml"

QUICK = {"training.epochs": 1}
# So few rows move no gate; a low threshold leaves something to go on with.
QUICK_SEARCH = {"search.epochs": 2, "search.threshold": 0.3}


def settings_of(name: str, seed: int, chosen: Mapping[str, Any], *, smoke: bool) -> Settings:
    """The settings of a section of the file, with some chosen otherwise. smoke: such that a run takes a second."""
    contender = plan([name], config=FILE, base=name).contenders[0]
    quick: dict[str, Any] = {}
    if smoke:
        quick = {**QUICK, **({} if registry.search_defaults(contender.model) is None else QUICK_SEARCH)}
    return contender.resolve(seed, {**chosen, **quick})


def small_rows() -> Rows:
    """3,000 synthetic rows of 6 fields for a run at smoke size."""
    log = make_search_log(3_000, num_fields=6, num_noise=2, num_pairs=2, num_triples=1)
    return Rows.in_memory(log.table, log.schema, source="search log", seed=0)
