"""The training of a stage's network: rows, steps, GRDA for its gates, checkpoints, and a record of how it went."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from pydantic import BaseModel, ConfigDict

from fieldwise.architecture import Architecture, Interaction
from fieldwise.data.dataset import Dataset
from fieldwise.objectives import Objective
from fieldwise.optim.grda import choose_c
from fieldwise.recipes.search.budget import affordable_rows
from fieldwise.recipes.search.stages import SearchNetwork, Stage, search_settings
from fieldwise.reporting import Reporter
from fieldwise.settings import SearchSettings, Settings, TrainingSettings
from fieldwise.storage.atomic import write_text
from fieldwise.training.evaluation import evaluate_model
from fieldwise.training.execution import apply_process_settings
from fieldwise.training.optimizers import GateTraining
from fieldwise.training.trainer import Trainer, fill_oov

ENOUGH_STEPS = 400
"""Steps of a stage that `epochs = auto` gives small data."""
MOST_EPOCHS = 10
LEAST_BATCH = 128
"""Rows of a batch below which gradients of gates are mostly noise."""


class StageRecord(BaseModel):
    """How a stage went, as it stands in an architecture's `settings`.

    Args:
        stage: Its name.
        gates: Candidates.
        kept: Gates that are not zero.
        rows: Training rows that it saw.
        epochs: Of this stage, over those rows.
        steps: In all of them.
        batch_size, learning_rate, c: What was used.
        threshold: What the gates' threshold grew to.
        seconds: Of training.
        valid: The objective's monitored metrics of the search network on the validation rows.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    stage: str
    gates: int
    kept: int
    rows: int
    epochs: int
    steps: int
    batch_size: int
    learning_rate: float
    c: float
    threshold: float
    seconds: float
    valid: dict[str, float | None] = {}


class StageFiles:
    """What a stage keeps in the folder of a search, under its name: its result, its checkpoint and its sample's size.

    Args:
        folder: Of the search. What lies there under the stage's old name is given its new one.
        stage: Which.
    """

    def __init__(self, folder: Path, stage: Stage) -> None:
        self.result, self.checkpoint, self.sample = (
            folder / f"{stage.file_name}.{kind}" for kind in ("json", "safetensors", "rows")
        )
        if stage.old_file_name is not None:
            for path in (self.result, self.checkpoint, self.sample):
                old = path.with_stem(stage.old_file_name)
                if old.exists() and not path.exists():
                    old.rename(path)

    def finish(self, architecture: Architecture) -> None:
        """Write the result, and remove what only an unfinished stage needs."""
        architecture.save(self.result)
        for path in (self.checkpoint, self.sample):
            path.unlink(missing_ok=True)


@dataclass(frozen=True)
class StageTraining:
    """The training of one stage's network.

    Args:
        stage: Which.
        architecture: What earlier stages have found.
        candidates: Of the stage.
        parts: `train`, and `valid` where something is to be measured.
        settings: Of the run, with those of the search.
        objective: What the labels are.
        files: Where a checkpoint is kept, and gone on from.
        title: What lines of progress begin with.
        reporter: For progress.
    """

    stage: Stage
    architecture: Architecture
    candidates: Sequence[Interaction]
    parts: Mapping[str, Dataset]
    settings: Settings
    objective: Objective
    files: StageFiles | None
    title: str
    reporter: Reporter

    def run(self, seconds: float | None = None) -> Architecture:
        """Train the network and read its gates.

        Args:
            seconds: How long it may take, on fewer rows where need be; None for all rows.

        Returns:
            The architecture that the gates tell of, with a record of the stage among its settings.

        Raises:
            KeyboardInterrupt: At Ctrl-C, with a checkpoint written.
        """
        train, valid = self.parts["train"], self.parts.get("valid")
        batch_size = self._batch_size(len(train))
        if seconds is not None:
            train = self._affordable(batch_size, seconds)
        training = self._training(len(train), batch_size)
        steps = num_steps(len(train), training)
        network, rule = self._build(), self.stage.rule
        rate = rule.learning_rate
        c = choose_c(rule.threshold, mu=rule.mu, rates=[rate] * steps) if rule.c is None else rule.c
        checkpoint = None if self.files is None else self.files.checkpoint
        apply_process_settings(training)
        trainer = Trainer(
            network.network,
            settings=training,
            objective=self.objective,
            seed=self.settings.seed,
            reporter=self.reporter,
            checkpoint=checkpoint,
            gates=GateTraining(network.gates, rate, c, rule.mu),
        )
        if checkpoint is not None and checkpoint.exists():
            trainer.restore(checkpoint)
            self._say(f"going on after {trainer.state.step:,} steps")
        history = trainer.fit(train)
        if history.ended == "interrupted":
            raise KeyboardInterrupt
        fill_oov(network.network, train.id_counts())
        metrics = None
        if valid is not None and len(valid):
            metrics = evaluate_model(network.network, valid, trainer.objective)
        reading = self.stage.read(self.architecture, network.network)
        record = StageRecord(
            stage=self.stage.name,
            gates=network.count,
            kept=reading.count,
            rows=len(train),
            epochs=training.epochs,
            steps=steps,
            batch_size=batch_size,
            learning_rate=training.learning_rate,
            c=c,
            threshold=float(next(iter(trainer.optimizers["gates"].state.values()))["threshold"]),
            seconds=sum(epoch.seconds for epoch in history.records),
            valid={} if metrics is None else {name: metrics.to_dict()[name] for name in self.objective.monitors},
        )
        self._say(f"{record.kept:,} of {record.gates:,} gates are open, {record.seconds:,.1f} s")
        settings = reading.architecture.settings
        stages = [*settings.get("stages", []), record.model_dump(mode="json")]
        return reading.architecture.model_copy(update={"settings": {**settings, "stages": stages}})

    @property
    def _search(self) -> SearchSettings:
        return search_settings(self.settings)

    def _say(self, text: str) -> None:
        self.reporter.say(f"{self.title}: {text}")

    def _batch_size(self, rows: int) -> int:
        default = min(self.settings.training.rows_per_step, max(LEAST_BATCH, rows // 100))
        return max(2, min(self._search.batch_size or default, rows))

    def _training(self, rows: int, batch_size: int) -> TrainingSettings:
        """The settings of the training over so many rows."""
        search = self._search
        epoch = math.ceil(rows / batch_size)
        enough = min(MOST_EPOCHS, max(1, math.ceil(ENOUGH_STEPS / epoch)))
        epochs = enough if isinstance(search.epochs, str) else search.epochs
        default = min(5e-3, max(1e-3, 2.0 / (epoch * epochs)))
        changes = {
            "epochs": epochs,
            "batch_size": batch_size,
            "micro_batch": batch_size,  # gates are behind a normalisation over the batch
            "learning_rate": default if isinstance(search.learning_rate, str) else search.learning_rate,
            "embedding_learning_rate": None,
            "schedule": "constant",
            "warmup_steps": 0,
        }
        return self.settings.training.model_copy(update=changes)

    def _build(self) -> SearchNetwork:
        """The network, whose weights follow from the seed."""
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(self.settings.seed)
            return self.stage.build(self.architecture, self.candidates)

    def _affordable(self, batch_size: int, seconds: float) -> Dataset:
        """As many training rows, at random, as all epochs can go over in the time; all where they can.

        Their number is written to `files.sample`, for a stage that goes on must have the same rows.
        """
        train, sample = self.parts["train"], None if self.files is None else self.files.sample
        if sample is not None and sample.exists():
            rows = int(sample.read_text(encoding="utf-8"))
        else:
            network = self._build()
            gates = GateTraining(network.gates, self.stage.rule.learning_rate, 0.0, self.stage.rule.mu)
            training = self._training(len(train), batch_size)
            trainer = Trainer(
                network.network, settings=training, objective=self.objective, seed=self.settings.seed, gates=gates
            )
            rows = min(len(train), max(batch_size, affordable_rows(trainer, train, seconds)))
            if sample is not None:
                write_text(sample, str(rows))
        if rows == len(train):
            return train
        self._say(f"{rows:,} of {len(train):,} training rows, for {seconds:,.0f} s are left to this stage")
        order = np.random.default_rng([self.settings.seed, 7]).permutation(len(train))
        return train.take(np.sort(order[:rows]))


def num_steps(rows: int, training: TrainingSettings) -> int:
    """The steps of a whole training.

    >>> num_steps(1_000, TrainingSettings(epochs=2, batch_size=300))
    8
    """
    return math.ceil(rows / training.rows_per_step) * training.epochs
