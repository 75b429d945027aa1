"""Model card: what a predictor knows of its own making: data, decisions, training, figures and versions."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict, field_validator

from fieldwise.environment import Environment
from fieldwise.preparation.records import ColumnRecord, DataRecord
from fieldwise.training.history import History


class ModelCard(BaseModel):
    """The whole account.

    parameters: how many numbers training adjusts, `all` and `without_embeddings`.
    metrics: by part (`valid`, `test`) and name. notes: what should be known beside it.
    """

    model_config = ConfigDict(extra="forbid")

    created: str
    versions: dict[str, str]
    environment: Environment
    data: DataRecord
    columns: list[ColumnRecord]
    parameters: dict[str, int]
    history: History
    metrics: dict[str, dict[str, int | float | None]]
    notes: list[str]

    @field_validator("parameters")
    @classmethod
    def _require_both_counts(cls, parameters: dict[str, int]) -> dict[str, int]:
        if parameters.keys() != {"all", "without_embeddings"}:
            raise ValueError(f"expected the counts 'all' and 'without_embeddings', got {sorted(parameters)}")
        return parameters


def summary_rows(card: ModelCard) -> list[tuple[str, Any]]:
    """The few lines of a card that a person wants first."""
    rows: list[tuple[str, Any]] = [
        ("trained on", f"{card.data.source}, {card.data.split.train_rows:,} rows, {card.data.base_rate:.1%} clicks"),
        ("trained", f"{card.created}, {len(card.history.records)} epochs, best {card.history.best_epoch}"),
        ("parameters", f"{card.parameters['all']:,}, {card.parameters['without_embeddings']:,} without embeddings"),
    ]
    for part, figures in card.metrics.items():
        shown = [f"{name} {figures[name]:.5f}" for name in ("auc", "log_loss") if figures.get(name) is not None]
        rows.append((part, ", ".join(shown)))
    return rows
