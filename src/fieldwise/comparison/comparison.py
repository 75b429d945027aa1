"""Comparison: the results of many models by many seeds, with all forms that they can be shown in."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from fieldwise.comparison import output
from fieldwise.comparison.results import Results
from fieldwise.reporting.frames import data_frame
from fieldwise.reporting.tables import Section

if TYPE_CHECKING:
    import pandas as pd


class Comparison(Results):
    """The results of a comparison: printed it is a table, and in a notebook too.

    Example:
        >>> from fieldwise.comparison import Run
        >>> runs = [
        ...     Run(contender="lr", model="lr", seed=seed, settings={}, metrics={"test": {"auc": auc, "log_loss": 0.5}})
        ...     for seed, auc in enumerate([0.70, 0.72])
        ... ]
        >>> rows = {"train": 80, "valid": 10, "test": 10}
        >>> comparison = Comparison(
        ...     source="clicks.csv", rows=rows, split_seed=0, base="lr", ours=[], order=["lr"], runs=runs
        ... )
        >>> comparison.to_pandas()[["name", "auc", "auc_std"]].round(4).values.tolist()
        [['lr', 0.71, 0.0141]]
    """

    def to_markdown(self) -> str:
        """The table in Markdown, with what must be known to read it."""
        return output.to_markdown(self)

    def to_csv(self) -> str:
        """A line per contender with all figures at full precision."""
        return output.to_csv(self)

    def to_pandas(self) -> pd.DataFrame:
        """The columns of `to_csv` as a data frame, a row per contender.

        Raises:
            SettingsError: pandas is not installed.
        """
        return data_frame(output.to_records(self))

    def to_dict(self) -> dict[str, Any]:
        """Summaries and every single run, ready for JSON."""
        return output.to_dict(self)

    def to_json(self) -> str:
        """The same as JSON."""
        return json.dumps(self.to_dict(), indent=1, ensure_ascii=False)

    def to_section(self) -> Section:
        """The table as the command line prints it; printed by `str` it leaves out costs and published figures."""
        return output.to_section(self)

    def __str__(self) -> str:
        return str(output.to_section(self, short=True))

    def __repr__(self) -> str:
        return f"Comparison({self.source!r}, {', '.join(self.order)}; {len(self.runs)} runs)"

    def _repr_html_(self) -> str:
        return output.to_html(self)
