"""One network, one run of the Trainer: THE training sequence, which train, search, compare and the benchmarks call.

prepared rows -> settle what is `auto` -> search if wanted -> build -> fit -> FittedNetwork
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import torch

from fieldwise.architecture import Architecture, summarise_fields
from fieldwise.data.dataset import Dataset
from fieldwise.encoding.encoded import EncodedRows, EncodingReport
from fieldwise.encoding.encoder import Encoder
from fieldwise.layout import Layout
from fieldwise.metrics import Metrics
from fieldwise.models import registry
from fieldwise.models.base import CTRModel, count_parameters
from fieldwise.objectives import Objective, objective_class
from fieldwise.preparation import Prepared
from fieldwise.recipes.fitted import FittedModel, Predictions, TrainingResult
from fieldwise.recipes.run_directory import RunDirectory
from fieldwise.recipes.search import search
from fieldwise.recipes.search.budget import seconds_searched
from fieldwise.reporting import Progress, Reporter
from fieldwise.schema import Schema
from fieldwise.settings import Settings
from fieldwise.training.evaluation import evaluate_model, predict_logits
from fieldwise.training.execution import apply_process_settings, settle
from fieldwise.training.history import History
from fieldwise.training.trainer import Trainer, fill_oov


@dataclass(frozen=True, eq=False)
class FittedNetwork(FittedModel):
    """A trained network with what encodes rows for it.

    Attributes:
        encoder: from raw rows to ids and numbers.
        network: in evaluation mode, on the CPU.
        objective: what its labels were and its predictions are.
    """

    encoder: Encoder
    network: CTRModel
    objective: Objective

    @property
    def schema(self) -> Schema:  # type: ignore[override]
        """The fields and the columns with a role."""
        return self.encoder.schema

    @property
    def parameters(self) -> dict[str, int]:
        """`all`, and `without_embeddings`."""
        return count(self.network)

    def predict(
        self, table: pa.Table, *, report: EncodingReport | None = None, progress: Progress | None = None
    ) -> Predictions:
        """The prediction of every row: float64 [N]."""
        return self._predict(self.encoder.encode(table), report, progress)

    def predict_rows(self, rows: Sequence[Mapping[str, Any]], *, report: EncodingReport | None = None) -> Predictions:
        """The predictions of a few rows given as dicts of Python values: float64 [N]. No table is made of them."""
        return self._predict(self.encoder.encode_rows(rows), report)

    def predict_part(self, prepared: Prepared, part: str) -> Predictions:
        """The predictions of rows that are encoded already: float64 [N]."""
        return self.objective.prediction(predict_logits(self.network, prepared.parts[part]))

    def _predict(
        self, rows: EncodedRows, report: EncodingReport | None, progress: Progress | None = None
    ) -> Predictions:
        if report is not None:
            report.add(rows.report)
        dataset = Dataset(self.encoder.layout, rows)
        return self.objective.prediction(predict_logits(self.network, dataset, progress=progress))


@dataclass(frozen=True, eq=False)
class NetworkTraining:
    """What a training came to, apart from what encodes rows; the fields are those of `TrainingResult`.

    Attributes:
        network: with the weights of its best epoch, in evaluation mode, on the CPU.
        settings: as in `TrainingResult`.
        history: as in `TrainingResult`.
        metrics: as in `TrainingResult`.
        seconds: as in `TrainingResult`.
        device: as in `TrainingResult`.
        notes: as in `TrainingResult`.
    """

    network: CTRModel
    settings: Settings
    history: History
    metrics: dict[str, Metrics]
    seconds: float
    device: str
    notes: list[str]


def train(
    prepared: Prepared, settings: Settings, run_directory: RunDirectory | None = None, *, reporter: Reporter
) -> TrainingResult:
    """Train a network on prepared rows.

    Args:
        prepared: rows by part. The best epoch is chosen on `valid`, and `valid` and `test` are measured at the end.
        settings: of a registered network; what is `auto` in them is settled here.
        run_directory: keeps the state of the run, which goes on from what is there.
        reporter: is told what happens.

    Returns:
        The network with the weights of its best epoch. After Ctrl-C in training, `history.ended` is `interrupted`.

    Raises:
        KeyboardInterrupt: Ctrl-C during a search.
        TrainingError: as `Trainer` does.
    """
    training = train_network(
        prepared.parts,
        settings,
        run_directory,
        objective=prepared.objective,
        source=prepared.data.source,
        reporter=reporter,
    )
    records = training.history.records
    return TrainingResult(
        model=FittedNetwork(prepared.encoder, training.network, prepared.objective),
        settings=training.settings,
        history=training.history,
        metrics=training.metrics,
        epochs=len(records),
        best_epoch=training.history.best_epoch,
        seconds=training.seconds,
        rows_per_s=float(np.median([record.rows_per_s for record in records])) if records else 0.0,
        device=training.device,
        notes=training.notes,
    )


def train_network(
    parts: Mapping[str, Dataset],
    settings: Settings,
    run_directory: RunDirectory | None = None,
    *,
    objective: Objective,
    source: str = "",
    reporter: Reporter,
) -> NetworkTraining:
    """The sequence itself, for rows that are encoded already.

    Args:
        parts: encoded rows, `train`, `valid` and `test`.
        settings: as in `train`.
        run_directory: as in `train`.
        objective: what the labels are.
        source: the rows' name.
        reporter: as in `train`.

    Returns:
        The network, and the account of how it was trained.

    Raises:
        KeyboardInterrupt: as in `train`.
        TrainingError: as in `train`.
    """
    layout = parts["train"].layout
    settings, seconds = settle_training(layout, settings, rows=len(parts["train"])), 0.0
    apply_process_settings(settings.training)
    if settings.wants_search:
        place = None if run_directory is None else run_directory.search
        fields = {part: rows.without_statistics() for part, rows in parts.items()}
        settings = search(fields, settings, objective=objective, source=source, place=place, reporter=reporter)
        seconds += seconds_searched(Architecture.model_validate(settings.model_settings["architecture"]))
    network = build(layout, settings)
    parameters = count(network)
    reporter.say(
        f"{settings.model}: {parameters['all']:,} parameters ({parameters['without_embeddings']:,} without "
        f"embeddings), {len(parts['train']):,} rows to train on, {len(parts['valid']):,} to validate, "
        f"{len(parts['test']):,} to test"
    )
    checkpoint = None if run_directory is None else run_directory.checkpoint
    trainer = Trainer(
        network,
        settings=settings.training,
        objective=objective,
        seed=settings.seed,
        reporter=reporter,
        checkpoint=checkpoint,
    )
    if checkpoint is not None and checkpoint.exists():
        trainer.restore(checkpoint)
        reporter.say(f"resuming in epoch {trainer.state.epoch} after {trainer.state.rows:,} of its rows")
    history = trainer.fit(parts["train"], parts["valid"])
    notes = []
    if filled := [layout.fields[f].name for f in fill_oov(network, parts["train"].id_counts())]:
        notes.append(f"unseen tokens are predicted as the field's average token in: {', '.join(filled)}")
        reporter.say(notes[-1])
    return NetworkTraining(
        metrics={
            part: evaluate_model(network, parts[part], objective) for part in ("valid", "test") if len(parts[part])
        },
        network=network.cpu().eval(),
        settings=settings,
        history=history,
        seconds=seconds + sum(record.seconds for record in history.records),
        device=str(trainer.device),
        notes=notes,
    )


def build(layout: Layout, settings: Settings) -> CTRModel:
    """The untrained network; its weights follow from the seed.

    Args:
        layout: the fields.
        settings: of the run.

    Returns:
        The network, on the CPU.
    """
    with torch.random.fork_rng():
        torch.manual_seed(settings.seed)
        network = registry.build(settings.model, layout, settings.model_settings)
    if objective_class(settings.objective).begins_near_zero:
        network.begin_near_zero()
    return network


def settle_training(layout: Layout, settings: Settings, *, rows: int | None = None) -> Settings:
    """The settings with every `auto` of training replaced, for this machine and the model.

    A model that searches first is taken without interactions: what they will be makes no difference to the choices.
    The model is sketched, not built: that takes neither time nor memory.

    Args:
        layout: the fields.
        settings: of the run.
        rows: to train on; None stands for many.

    Returns:
        New settings.

    Raises:
        FieldwiseError: what building the model and `fieldwise.training.execution.settle` raise.
    """
    model_settings = settings.model_settings
    if settings.wants_search:
        nothing = Architecture(fields=summarise_fields(layout), embedding_dim=1)
        model_settings = {**model_settings, "architecture": nothing}
    network = registry.sketch(settings.model, layout, model_settings)
    return settings.with_training(settle(settings.training, network, objective_class(settings.objective), rows=rows))


def count(network: CTRModel) -> dict[str, int]:
    """A network's parameters as the card has them.

    Args:
        network: the model.

    Returns:
        `all` and `without_embeddings`.
    """
    return {"all": count_parameters(network), "without_embeddings": count_parameters(network, embeddings=False)}
