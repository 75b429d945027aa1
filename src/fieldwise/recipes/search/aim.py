"""AIM's search: which interactions, by which functions, with which embedding positions. Then train as usual.

C. Zhu et al.: "AIM: Automatic Interaction Machine for Click-Through Rate Prediction", arXiv 2111.03318, section 3. For
the orders 2, 3, ... one after another, and then for the embedding positions of all of them, a network with one gate
per candidate is trained on the training rows; its gates by GRDA, which drives those that the data do not move to exact
zeros, all else by Adam in the same steps. What keeps a gate other than zero is kept. Nothing is chosen by the test
rows, and the validation rows are only measured.

    stage       candidates                                                  gates
    order 2     every pair of fields by every function                      one each
    order p     all tuples of p fields where they are few (max_tuples),     one each; lower orders are part of the
                else each function's strongest `top` of order p - 1,        network, and their gates are left to Adam
                each with one more field
    positions   every number of every vector that an interaction reads      one each, before the interactions, which
                                                                            have none
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path

import numpy as np
import torch
from pydantic import BaseModel, ConfigDict
from torch import nn

from fieldwise.architecture import FILE_NAME as ARCHITECTURE
from fieldwise.architecture import Architecture, DataSummary, Interaction, TupleStatistic, num_tuples, summarise_fields
from fieldwise.data.dataset import Dataset
from fieldwise.explain.statistics_auc import ClickStatistics
from fieldwise.layers.interaction_functions import function_names, require_function
from fieldwise.models import registry
from fieldwise.models.aim import EmbeddingSearch
from fieldwise.models.base import CTRModel, Searchable
from fieldwise.optim.grda import choose_c
from fieldwise.recipes.search.budget import affordable_epochs, seconds_per_row
from fieldwise.recipes.search.trimming import normalise, trim
from fieldwise.reporting import Reporter
from fieldwise.settings import Settings, TrainingSettings
from fieldwise.training.evaluation import evaluate_model
from fieldwise.training.trainer import GateTraining, Trainer, fill_oov

STEPS_WANTED = 400
"""Steps of a stage that `passes = auto` gives small data."""
MOST_PASSES = 10
MOST_ROWS_COUNTED = 1_000_000
"""Training rows that click rates are taken from, a sample where there are more."""
LEAST_BATCH = 128
"""Rows of a batch below which gradients of gates are mostly noise."""


class StageRecord(BaseModel):
    """How a stage went. gates: candidates. kept: gates that are not zero. valid_log_loss: of the search network."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    stage: str
    gates: int
    kept: int
    rows: int
    passes: int
    steps: int
    batch_size: int
    learning_rate: float
    c: float
    threshold: float
    seconds: float
    valid_log_loss: float | None = None
    valid_auc: float | None = None


def search(
    parts: Mapping[str, Dataset],
    settings: Settings,
    *,
    source: str = "",
    place: Path | None = None,
    reporter: Reporter,
) -> Settings:
    """Find an architecture on `parts["train"]`; the settings to train with afterwards.

    settings: of a model that searches. `search` says how; those of the model and of training apply where it does not.
    source: the data's name, for the architecture's file.
    place: a folder for what is done and for checkpoints; a search that was stopped goes on from there.

    Ctrl-C raises KeyboardInterrupt, with the stage under way in `place`. Raises SettingsError for an unknown function.
    """
    file = None if place is None else place / ARCHITECTURE
    if file is not None and file.exists():
        reporter.say("the search is done")
        found = Architecture.load(file)
    else:
        searching = _Search(parts, settings, source, place, reporter)
        found = searching.run(searching.stages(), searching.empty)
        found = found.model_copy(update={"statistics": searching.statistics(found)})
        if settings.search is not None and settings.search.time_budget is not None:
            epochs = affordable_epochs(parts["train"], with_architecture(settings, found), found, reporter)
            found = found.model_copy(update={"settings": {**found.settings, "epochs": epochs}})
        if file is not None:
            found.save(file)
    after = with_architecture(settings, found)
    if "epochs" in found.settings:
        after = after.with_training(after.training.model_copy(update={"epochs": found.settings["epochs"]}))
    return after


def with_architecture(settings: Settings, found: Architecture) -> Settings:
    """The settings to train with what was found."""
    chosen = {**settings.model_settings, "architecture": found.model_dump(mode="json")}
    return settings.model_copy(update={"model_settings": chosen})


def search_positions(
    parts: Mapping[str, Dataset],
    settings: Settings,
    architecture: Architecture,
    *,
    place: Path | None = None,
    reporter: Reporter,
) -> Architecture:
    """Search the embedding positions of an architecture that is there already, such as one written by hand.

    This is the last stage of `search` on its own. Positions that the architecture has removed are searched again; its
    embedding size and its `shared_embedding` hold, whatever the settings say of them. The other arguments are those of
    `search`.

    Returns the architecture with the positions that are kept, without the interactions that are left with none.
    Ctrl-C raises KeyboardInterrupt, as in `search`. Raises SettingsError for an architecture of fields that the data
    lack.
    """
    everything = architecture.model_copy(update={"positions": None})
    return _Search(parts, settings, "", place, reporter).run(["positions"], everything)


@dataclass(frozen=True)
class _Stage:
    """A network to search with.

    candidates: how many of its gates stand for something. read: what is found once the gates are trained, and how many
    of the candidates are kept.
    """

    network: CTRModel
    gates: list[nn.Parameter]
    candidates: int
    mu: float
    c: float | None
    threshold: float
    read: Callable[[], tuple[Architecture, int]]


class _Search:
    def __init__(
        self, parts: Mapping[str, Dataset], settings: Settings, source: str, place: Path | None, reporter: Reporter
    ) -> None:
        assert settings.search is not None
        self.train, self.valid = parts["train"], parts.get("valid")
        self.settings, self.how, self.place, self.reporter = settings, settings.search, place, reporter
        self.layout = self.train.layout
        self.functions = self.how.functions or tuple(function_names())
        for name in self.functions:
            require_function(name)
        label = self.train.label
        self.empty = Architecture(
            model=settings.model,
            embedding_dim=settings.model_settings["embedding_dim"],
            shared_embedding=self.how.shared_embedding,
            fields=summarise_fields(self.layout),
            settings={"functions": list(self.functions), "search": self.how.model_dump(mode="json"), "stages": []},
            data=DataSummary(
                source=source, rows=len(self.train), base_rate=None if label is None else float(label.mean())
            ),
        )

    def stages(self) -> list[str]:
        return [f"order {order}" for order in self.how.orders] + ["positions"] * self.how.embedding_sizes

    def run(self, stages: Sequence[str], found: Architecture) -> Architecture:
        if self.place is not None:
            self.place.mkdir(parents=True, exist_ok=True)
        began = time.perf_counter()
        for number, name in enumerate(stages, start=1):
            file = self._file(name, "json")
            if file is not None and file.exists():
                found = Architecture.load(file)
                self.reporter.say(f"search {number}/{len(stages)}, {name}: done before")
                continue
            seconds = None
            if self.how.time_budget is not None:
                # One half of it is for the stages, in equal shares of what is left.
                left = self.how.time_budget / 2 - (time.perf_counter() - began)
                seconds = max(left, 0.0) / (len(stages) - number + 1)
            found = self._stage(f"search {number}/{len(stages)}, {name}", name, found, seconds)
            if name == f"order {self.how.orders[-1]}" and self.how.max_interactions is not None:
                found = trim(found, max_interactions=self.how.max_interactions)
            if file is not None:
                found.save(file)
                for done in ("safetensors", "rows"):
                    file.with_suffix(f".{done}").unlink(missing_ok=True)
        return found

    def _file(self, stage: str, kind: str) -> Path | None:
        """Where a stage keeps its result (json), its checkpoint (safetensors) and the size of its sample (rows)."""
        return None if self.place is None else self.place / f"{stage.replace(' ', '-')}.{kind}"

    def statistics(self, found: Architecture) -> tuple[TupleStatistic, ...]:
        """What the click rates of field tuples tell of the validation rows: of all tuples, or of the kept ones."""
        if self.valid is None or self.valid.label is None or len(np.unique(self.valid.label)) < 2:
            return ()
        train = self.train
        if len(train) > MOST_ROWS_COUNTED:
            chosen = np.random.default_rng([self.settings.seed, 8]).choice(len(train), MOST_ROWS_COUNTED, replace=False)
            train = train.take(np.sort(chosen))
        clicks = ClickStatistics(train, self.valid)
        statistics: dict[tuple[str, ...], float] = {}
        for order in self.how.orders:
            few = num_tuples(len(self.layout), order) <= self.how.max_tuples
            if order <= len(self.layout):
                statistics |= clicks.best(order, None if few else found.strengths(order))
        return tuple(TupleStatistic(fields=fields, auc=auc) for fields, auc in statistics.items())

    def _stage(self, title: str, name: str, found: Architecture, seconds: float | None) -> Architecture:
        if name == "positions":
            if not found.interactions:
                self.reporter.say(f"{title}: there are no interactions, so no embedding is needed")
                return found
            after = self._train(title, name, lambda: self._positions(found), seconds)
            if after.interactions:
                return after
            self.reporter.say(
                f"{title}: the positions that are left would take every interaction away, so all are kept; a lower "
                "search.position_threshold keeps some"
            )
            return found.model_copy(update={"settings": after.settings})
        order = int(name.split()[1])
        candidates = self.candidates(found, order)
        if not candidates:
            self.reporter.say(f"{title}: there is no candidate ({len(self.layout)} fields); nothing is added")
            return found
        tuples = len({i.fields for i in candidates})
        self.reporter.say(
            f"{title}: {tuples:,} of {num_tuples(len(self.layout), order):,} tuples of {order} fields, "
            f"{len(candidates):,} gates over {', '.join(self.functions)}"
        )
        after = self._train(title, name, lambda: self._order(found, order, candidates), seconds)
        if not after.of(order):
            self.reporter.say(
                f"{title}: every gate is closed. The data show no interaction that a threshold of "
                f"{self.how.threshold:g} keeps; a lower search.threshold keeps more"
            )
        return after

    def candidates(self, found: Architecture, order: int) -> list[Interaction]:
        """The interactions that an order is searched among, function by function."""
        fields = self.layout.names
        if order == 2 or num_tuples(len(fields), order) <= self.how.max_tuples:
            tuples = {function: list(combinations(fields, order)) for function in self.functions}
        else:
            top = self.how.top or max(1, len(fields) // 2)
            tuples = {f: extended([i.fields for i in found.of(order - 1, f)[:top]], fields) for f in self.functions}
        return [Interaction(fields=t, function=function) for function in self.functions for t in tuples[function]]

    def _order(self, found: Architecture, order: int, candidates: Sequence[Interaction]) -> _Stage:
        everything = found.model_copy(update={"interactions": (*found.interactions, *candidates)})
        network = registry.build_for_search(
            self.settings.model, self.layout, {**self.settings.model_settings, "architecture": everything}
        )
        assert isinstance(network, Searchable)
        gates = network.gates[str(order)].weight
        assert isinstance(gates, nn.Parameter)
        searched = network.interactions.of_order(order)

        def read() -> tuple[Architecture, int]:
            kept = [
                interaction.model_copy(update={"gate": gate})
                for interaction, gate in zip(searched, gates.tolist(), strict=True)
                if gate
            ]
            chosen = strongest_functions(kept, self.how.functions_per_tuple)
            return found.with_interactions([*found.interactions, *chosen]), len(kept)

        how = self.how
        return _Stage(network, [gates], len(searched), how.mu, how.c, how.threshold, read)

    def _positions(self, found: Architecture) -> _Stage:
        chosen = self.settings.model_settings
        network = EmbeddingSearch(
            self.layout,
            found,
            share_positions=self.how.share_positions,
            missing=chosen.get("missing", "learned"),
            pooling=chosen.get("pooling", "mean"),
        )
        gates = [weight for module in network.gates.values() for weight in module.parameters()]

        readers = sum(len(network.interactions.read_by(slot)) for slot in network.interactions.slots)

        def read() -> tuple[Architecture, int]:
            positions = network.kept_positions()
            kept = sum(len(of) for functions in positions.values() for f in functions.values() for of in f.values())
            return drop_empty(found.model_copy(update={"positions": positions})), kept

        how, candidates = self.how, readers * found.embedding_dim
        return _Stage(network, gates, candidates, how.position_mu, how.position_c, how.position_threshold, read)

    def _train(self, title: str, name: str, build: Callable[[], _Stage], seconds: float | None) -> Architecture:
        """Train a stage's network and read its gates."""
        batch_size = self.how.batch_size or min(
            self.settings.training.batch_size, max(LEAST_BATCH, len(self.train) // 100)
        )
        batch_size = max(2, min(batch_size, len(self.train)))
        train = self.train
        if seconds is not None:
            train = self._affordable(title, build, batch_size, seconds, kept=self._file(name, "rows"))
        training, passes, steps = self._training(len(train), batch_size)
        stage = self._drawn(build)
        rates = [self.how.gate_learning_rate] * steps
        c = choose_c(stage.threshold, mu=stage.mu, rates=rates) if stage.c is None else stage.c
        file = self._file(name, "safetensors")
        trainer = Trainer(
            stage.network,
            settings=training,
            seed=self.settings.seed,
            reporter=self.reporter,
            checkpoint=file,
            gates=GateTraining(stage.gates, self.how.gate_learning_rate, c, stage.mu),
        )
        if file is not None and file.exists():
            trainer.restore(file)
            self.reporter.say(f"{title}: going on after {trainer.state.step:,} steps")
        history = trainer.fit(train)
        if history.ended == "interrupted":
            raise KeyboardInterrupt
        fill_oov(stage.network, train.id_counts())
        metrics = None
        if self.valid is not None and len(self.valid):
            metrics = evaluate_model(stage.network, self.valid, trainer.objective)
        found, kept = stage.read()
        record = StageRecord(
            stage=name,
            gates=stage.candidates,
            kept=kept,
            rows=len(train),
            passes=passes,
            steps=steps,
            batch_size=batch_size,
            learning_rate=training.learning_rate,
            c=c,
            threshold=float(next(iter(trainer.optimizers["gates"].state.values()))["threshold"]),
            seconds=sum(record.seconds for record in history.records),
            valid_log_loss=None if metrics is None else metrics.log_loss,
            valid_auc=None if metrics is None else metrics.auc,
        )
        self.reporter.say(f"{title}: {record.kept:,} of {record.gates:,} gates are open, {record.seconds:,.1f} s")
        stages = [*found.settings.get("stages", []), record.model_dump(mode="json")]
        return found.model_copy(update={"settings": {**found.settings, "stages": stages}})

    def _training(self, rows: int, batch_size: int) -> tuple[TrainingSettings, int, int]:
        """The settings of a stage's training, its passes and its steps."""
        per_pass = math.ceil(rows / batch_size)
        enough = min(MOST_PASSES, max(1, math.ceil(STEPS_WANTED / per_pass)))
        passes = enough if isinstance(self.how.passes, str) else self.how.passes
        steps = per_pass * passes
        fitting = min(5e-3, max(1e-3, 2.0 / steps))
        rate = fitting if isinstance(self.how.learning_rate, str) else self.how.learning_rate
        changes = {
            "epochs": passes,
            "batch_size": batch_size,
            "micro_batch": batch_size,  # gates are behind a normalisation over the batch
            "learning_rate": rate,
            "embedding_learning_rate": None,
            "schedule": "constant",
            "warmup_steps": 0,
        }
        return self.settings.training.model_copy(update=changes), passes, steps

    def _drawn(self, build: Callable[[], _Stage]) -> _Stage:
        """A stage whose network's weights follow from the seed."""
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(self.settings.seed)
            return build()

    def _affordable(
        self, title: str, build: Callable[[], _Stage], batch_size: int, seconds: float, *, kept: Path | None
    ) -> Dataset:
        """As many training rows, at random, as a stage can pass over in the time; all where it can.

        kept: where their number is written, for a stage that goes on must have the same rows.
        """
        if kept is not None and kept.exists():
            count = int(kept.read_text(encoding="utf-8"))
        else:
            stage = self._drawn(build)
            training, passes, _ = self._training(len(self.train), batch_size)
            gates = GateTraining(stage.gates, self.how.gate_learning_rate, 0.0, stage.mu)
            trainer = Trainer(stage.network, settings=training, seed=self.settings.seed, gates=gates)
            per_row = seconds_per_row(trainer, self.train, most=seconds / 4) * passes
            count = min(len(self.train), max(batch_size, int(seconds / per_row)))
            if kept is not None:
                kept.write_text(str(count), encoding="utf-8")
        if count == len(self.train):
            return self.train
        self.reporter.say(
            f"{title}: {count:,} of {len(self.train):,} training rows, for {seconds:,.0f} s are left to this stage"
        )
        order = np.random.default_rng([self.settings.seed, 7]).permutation(len(self.train))
        return self.train.take(np.sort(order[:count]))


def extended(tuples: Sequence[tuple[str, ...]], fields: Sequence[str]) -> list[tuple[str, ...]]:
    """Each tuple with each field that it has not, in the order of `fields`, without repetition (AIM, section 3.4)."""
    rank = {name: number for number, name in enumerate(fields)}
    grown = {tuple(sorted((*t, name), key=rank.__getitem__)) for t in tuples for name in fields if name not in t}
    return sorted(grown, key=lambda t: [rank[name] for name in t])


def strongest_functions(interactions: Sequence[Interaction], most: int | None) -> list[Interaction]:
    """Of every field tuple, the interactions of at most so many functions, those with the largest |gate|."""
    chosen: dict[tuple[str, ...], list[Interaction]] = {}
    for interaction in sorted(interactions, key=lambda i: -abs(i.gate)):
        chosen.setdefault(interaction.fields, []).append(interaction)
    return [interaction for of in chosen.values() for interaction in of[:most]]


def drop_empty(architecture: Architecture) -> Architecture:
    """Without the interactions of fields that have kept no embedding position for their function: these are zero.

    What only they have read is dropped with them.
    """

    def has_numbers(i: Interaction) -> bool:
        return all(architecture.kept_positions(i.order, i.function, name) for name in i.fields)

    return normalise(architecture.with_interactions(filter(has_numbers, architecture.interactions)))
