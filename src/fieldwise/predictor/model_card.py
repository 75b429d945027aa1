"""Model card: what a predictor knows of its own making: data, decisions, training, figures and versions."""

from __future__ import annotations

import datetime
from typing import Any

from pydantic import BaseModel, ConfigDict

from fieldwise.environment import Environment, versions
from fieldwise.errors import PredictorFormatError
from fieldwise.metrics import LABELS, Metrics
from fieldwise.objectives import Objective
from fieldwise.preparation import Prepared
from fieldwise.preparation.records import ColumnRecord, DataRecord
from fieldwise.recipes.fitted import TrainingResult
from fieldwise.training.history import History


class ModelCard(BaseModel):
    """The whole account.

    Attributes:
        created: when, in UTC.
        versions: that figures depend on.
        environment: where it was trained.
        data: the rows, and how they were split.
        columns: what was decided about each column.
        parameters: how many numbers training adjusts, `all` and `without_embeddings`.
        history: of training, by epoch.
        metrics: by part (`valid`, `test`) and name.
        notes: what should be known beside it.

    Example:
        >>> import fieldwise as fw
        >>> clicks = {"user": ["ann", "bob", "cyd", "dan"] * 50, "click": [0, 1, 1, 0] * 50}
        >>> card = fw.train(clicks, label="click", model="lr", settings={"epochs": 1}, progress=False).card
        >>> card.data.split.train_rows, card.columns[0].reason, sorted(card.metrics)
        (160, 'text, 4 different values', ['test', 'valid'])
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

    @classmethod
    def of(cls, prepared: Prepared, result: TrainingResult) -> ModelCard:
        """The card of a model that was trained just now.

        Args:
            prepared: the rows that it was trained on.
            result: what training came to.

        Returns:
            The card.
        """
        return cls(
            created=datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
            versions=versions(),
            environment=Environment.current(device=result.device),
            data=prepared.data,
            columns=list(prepared.columns),
            parameters=result.model.parameters,
            history=result.history,
            metrics={part: metrics.to_dict() for part, metrics in result.metrics.items()},
            notes=[*prepared.notes, *result.notes],
        )

    def measured(self, objective: Objective) -> dict[str, Metrics]:
        """The metrics by part.

        Args:
            objective: of the model.

        Returns:
            Metrics as the objective knows them.
        """
        return {
            part: objective.metrics_class(**figures)  # type: ignore[arg-type]
            for part, figures in self.metrics.items()
        }

    def require_counts(self, *, embeddings: bool) -> None:
        """Raise PredictorFormatError where `parameters` is not what the kind of model has.

        Args:
            embeddings: whether the model has embeddings, and so a second count.
        """
        expected = ["all", "without_embeddings"] if embeddings else ["all"]
        if sorted(self.parameters) != expected:
            raise PredictorFormatError(
                f"parameters: expected the counts {' and '.join(map(repr, expected))}, got {sorted(self.parameters)}"
            )


def summary_rows(card: ModelCard, objective: Objective) -> list[tuple[str, Any]]:
    """The few lines of a card that a person wants first.

    Args:
        card: the card.
        objective: of the model.

    Returns:
        Names and texts.
    """
    data = card.data
    rows: list[tuple[str, Any]] = [
        ("trained on", f"{data.source}, {data.split.train_rows:,} rows, {objective.describe_labels(data.mean_label)}"),
        ("trained", _trained(card)),
        ("parameters", _parameters(card)),
    ]
    for part, figures in card.metrics.items():
        shown = [f"{LABELS[name]} {figures[name]:.5f}" for name in objective.monitors if figures.get(name) is not None]
        rows.append((part, ", ".join(shown)))
    return rows


def _trained(card: ModelCard) -> str:
    epochs = len(card.history.records)
    return card.created + (f", {epochs} epochs, best {card.history.best_epoch}" if epochs else "")


def _parameters(card: ModelCard) -> str:
    without = card.parameters.get("without_embeddings")
    return f"{card.parameters['all']:,}" + ("" if without is None else f", {without:,} without embeddings")
