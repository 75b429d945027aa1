"""Training every contender with every seed on the same rows."""

from __future__ import annotations

import datetime
import time as clock
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pyarrow as pa
import torch

from fieldwise import datasets
from fieldwise.architecture import Architecture
from fieldwise.columns.tables import Source
from fieldwise.comparison import tables as output
from fieldwise.comparison.contenders import Contender, Plan, plan
from fieldwise.comparison.results import Comparison, Run
from fieldwise.comparison.storage import Storage, Workspace
from fieldwise.data.labels import read_label
from fieldwise.environment import Environment, versions
from fieldwise.errors import FieldwiseError, SettingsError, TrainingError
from fieldwise.metrics import Metrics, evaluate_predictions
from fieldwise.objectives import Binary
from fieldwise.preparation import Prepared, Tables, prepare, read, settle_schema
from fieldwise.recipes import boosting
from fieldwise.recipes.network import Fitted, build, count, fit, settle_training
from fieldwise.recipes.search import search
from fieldwise.recipes.search.budget import seconds_searched
from fieldwise.reporting import Reporter
from fieldwise.schema import Schema
from fieldwise.settings import Settings
from fieldwise.training.evaluation import evaluate_model, predict_logits
from fieldwise.tuning import tune as tune_settings


def compare(
    source: Source,
    *,
    label: str | None = None,
    models: Sequence[str] | None = None,
    seeds: int = 5,
    config: str | Path | None = None,
    settings: Mapping[str, Any] | None = None,
    base: str | None = None,
    tune: int = 0,
    seed: int = 0,
    schema: Schema | str | Path | None = None,
    fields: Mapping[str, Any] | None = None,
    positive: str | None = None,
    weight: str | None = None,
    group: str | None = None,
    time: str | None = None,
    valid: Source | None = None,
    test: Source | None = None,
    names: Sequence[str] | None = None,
    published: str | None = None,
    out: str | Path | None = None,
    overwrite: bool = False,
    progress: bool | Reporter = True,
) -> Comparison:
    """Train many models on the same rows and hold them against each other.

    The split and the encoding are made once. Each contender is trained with `seeds` seeds, `seed` and those after it;
    its best epoch is chosen on the validation rows, and the test rows are looked at once per run, at its end. LightGBM
    and CatBoost read the raw columns of the same rows.

    models: registered models, `lightgbm`, `catboost`, or sections of `config`; see `fieldwise.comparison.contenders`.
    settings: of training and data, for all networks. base: whose figures differences are taken to.
    tune: how many settings to try for each contender, on the validation rows with one seed, before its runs.
    published: the data set whose published figures stand beside; default: the built-in data set itself.
    out: a directory. What is done there stays done: the same call again goes on, with more models or seeds if so
        asked. overwrite: begin anew instead.
    source and the other arguments: as in `fieldwise.train`.

    Ctrl-C leaves what is done in `out` and raises KeyboardInterrupt. A run that fails (the loss is not a number) is
    recorded, and the others go on.
    Raises DataError, SchemaError or SettingsError for what cannot be used, before any training, and StorageError
    where another process works in `out`, or it cannot be written.
    """
    reporter = progress if isinstance(progress, Reporter) else Reporter(enabled=progress)
    if seeds < 1:
        raise SettingsError(f"seeds must be at least 1, got {seeds}")
    chosen = plan(models, config=config, overrides=settings, base=base, tune=tune > 0)
    tables = read(source, valid=valid, test=test, names=names)
    schema, _ = settle_schema(
        tables,
        schema=schema,
        label=label,
        positive=positive,
        weight=weight,
        group=group,
        time=time,
        fields=fields or {},
        reporter=reporter,
    )
    prepared = prepare(tables, schema, chosen.data, seed=seed)
    for note in prepared.notes:
        reporter.say(note)
    if not len(prepared.parts["valid"]) or not len(prepared.parts["test"]):
        raise SettingsError(
            "a comparison needs validation and test rows: leave data.valid_fraction and test_fraction above 0"
        )
    if published is None and datasets.is_built_in(source):
        published = str(source)
    with ExitStack() as stack:
        storage = None if out is None else Storage(Path(out))
        if storage is not None:
            stack.enter_context(storage.held(overwrite=overwrite))
            storage.require_same_rows(prepared, schema, chosen.data, seed)
        return _Grid(chosen, tables, schema, prepared, seed, seeds, tune, published, storage, reporter).run()


class _Grid:
    """All runs of a comparison, one after another."""

    def __init__(
        self,
        chosen: Plan,
        tables: Tables,
        schema: Schema,
        prepared: Prepared,
        seed: int,
        seeds: int,
        tune: int,
        published: str | None,
        storage: Storage | None,
        reporter: Reporter,
    ) -> None:
        self.contenders, self.tables, self.schema, self.prepared = chosen.contenders, tables, schema, prepared
        self.seed, self.seeds, self.tune, self.storage, self.reporter = seed, seeds, tune, storage, reporter
        self.quiet = reporter.bars_only()
        self.comparison = Comparison(
            source=tables.source,
            dataset=published,
            rows={part: len(rows) for part, rows in prepared.parts.items()},
            split_seed=seed,
            base=chosen.base,
            ours=chosen.ours,
            order=[contender.name for contender in chosen.contenders],
        )

    def run(self) -> Comparison:
        self._check()
        tuned = {contender.name: self._tuned(contender) for contender in self.contenders}
        # Seed by seed: a comparison that is stopped has all of its contenders.
        steps = [(c, seed) for seed in range(self.seed, self.seed + self.seeds) for c in self.contenders]
        for number, (contender, seed) in enumerate(steps, start=1):
            wanted = self._settings(contender, seed, tuned[contender.name])
            run = None if self.storage is None else self.storage.read_run(contender.name, seed, wanted)
            if run is None:
                left = _time_left(self.comparison.runs, steps[number - 1 :])
                self.reporter.say(f"[{number}/{len(steps)}] {contender.name}, seed {seed}{left}")
                run = self._one(contender, seed, wanted, tuned[contender.name])
                self.reporter.say(f"        {_describe(run)}")
                if self.storage is not None:
                    self.storage.write_run(run)
            self.comparison.runs.append(run)
            if self.storage is not None:
                output.write(self.comparison, self.storage.path)
        return self.comparison

    def _check(self) -> None:
        """Settings that contradict each other or the data are found before the first run, not in the tenth hour."""
        for contender in self.contenders:
            if not contender.is_external:
                try:
                    settle_training(self.prepared.encoder.layout, contender.resolve(self.seed))
                except FieldwiseError as error:
                    raise type(error)(f"{contender.name}: {error}") from error
            else:
                boosting.require(contender.model)

    def _settings(self, contender: Contender, seed: int, tuned: Mapping[str, Any]) -> dict[str, Any]:
        """All settings of a run, as they are asked for."""
        if contender.is_external:
            return contender.resolve_external(tuned)
        return contender.resolve(seed, tuned).model_dump(mode="json")

    def _tuned(self, contender: Contender) -> dict[str, Any]:
        """What tuning chooses for a contender, by the validation rows and the first seed."""
        if not self.tune or not contender.ranges:
            return {}
        self.reporter.say(f"tuning {contender.name}: {self.tune} trials over {', '.join(contender.ranges)}")

        def evaluate(chosen: dict[str, Any], number: int) -> float:
            settings = self._settings(contender, self.seed, chosen)
            if contender.is_external:
                model = self._boost(contender.model, settings, self.seed)
                return evaluate_predictions(*self._predicted(model, "valid")).log_loss
            workspace = None if self.storage is None else Workspace(place / f"trial{number}.unfinished")
            return self._fit(Settings(**settings), workspace)[1].metrics["valid"].log_loss

        with ExitStack() as stack:
            if self.storage is not None:
                place = self.storage.tuning(contender.name)
            else:
                place = Path(stack.enter_context(TemporaryDirectory()))
            return tune_settings(
                contender.ranges,
                trials=self.tune,
                evaluate=evaluate,
                place=place,
                seed=self.seed,
                reporter=self.reporter,
            ).best

    def _one(self, contender: Contender, seed: int, settings: dict[str, Any], tuned: Mapping[str, Any]) -> Run:
        run = Run(contender=contender.name, model=contender.model, seed=seed, settings=settings, tuned=dict(tuned))
        try:
            figures = self._external(run) if contender.is_external else self._network(run)
        except TrainingError as error:
            figures = {"error": str(error)}
        created = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
        return run.model_copy(
            update={"created": created, "environment": Environment.current(), "versions": versions(), **figures}
        )

    def _network(self, run: Run) -> dict[str, Any]:
        workspace = None if self.storage is None else self.storage.workspace(run.contender, run.seed)
        settings, fitted = self._fit(Settings(**run.settings), workspace)
        test = self.prepared.parts["test"]
        # The bfloat16 of training ends with it: figures are of float32 predictions.
        metrics = {**fitted.metrics, "test": evaluate_model(fitted.network, test, Binary())}
        began = clock.perf_counter()
        predict_logits(fitted.network, test)
        records = fitted.history.records
        found = settings.model_settings.get("architecture")
        searched = (
            seconds_searched(Architecture.model_validate(found)) if Settings(**run.settings).wants_search else 0.0
        )
        return {
            "settings": settings.model_dump(mode="json"),
            "parameters": count(fitted.network),
            "metrics": _as_dicts(metrics),
            "history": fitted.history,
            "epochs": len(records),
            "best_epoch": fitted.history.best_epoch,
            "seconds": searched + sum(record.seconds for record in records),
            "train_rows_per_s": float(np.median([record.rows_per_s for record in records])),
            "predict_rows_per_s": len(test) / (clock.perf_counter() - began),
        }

    def _fit(self, wanted: Settings, workspace: Workspace | None) -> tuple[Settings, Fitted]:
        """Train and validate, also what the settings came to; the test rows stay out of it."""
        parts = {**self.prepared.parts, "test": self.prepared.parts["test"].take(np.empty(0, np.int64))}
        layout = self.prepared.encoder.layout
        settings = settle_training(layout, wanted)
        if workspace is not None:
            workspace.begin(settings)
        if settings.wants_search:
            place = None if workspace is None else workspace.search
            settings = search(parts, settings, source=self.tables.source, place=place, reporter=self.quiet)
        network = build(layout, settings)
        checkpoint = None if workspace is None else workspace.checkpoint
        fitted = fit(network, parts, settings, checkpoint=checkpoint, restore=True, reporter=self.quiet)
        if fitted.history.ended == "interrupted":
            raise KeyboardInterrupt
        if workspace is not None:
            workspace.remove()
        return settings, fitted

    def _external(self, run: Run) -> dict[str, Any]:
        model = self._boost(run.model, run.settings, run.seed)
        rows = len(self.prepared.parts["train"])
        valid = evaluate_predictions(*self._predicted(model, "valid"))
        began = clock.perf_counter()
        label, probability = self._predicted(model, "test")
        predicting = clock.perf_counter() - began
        metrics = {"valid": valid, "test": evaluate_predictions(label, probability)}
        return {
            "parameters": {"all": model.parameters},
            "metrics": _as_dicts(metrics),
            "epochs": model.rounds,
            "best_epoch": model.rounds,
            "seconds": model.seconds,
            "train_rows_per_s": rows * model.rounds / model.seconds,
            "predict_rows_per_s": len(label) / predicting,
        }

    def _boost(self, name: str, settings: Mapping[str, Any], seed: int) -> boosting.Boosted:
        return boosting.fit(
            name,
            self._raw("train"),
            self._raw("valid"),
            self.schema,
            settings=settings,
            seed=seed,
            threads=torch.get_num_threads(),
            reporter=self.quiet,
        )

    def _predicted(self, model: boosting.Boosted, part: str) -> tuple[Any, Any]:
        """Labels and probabilities of a part's rows, from its raw columns."""
        table = self._raw(part)
        return read_label(table, self.schema), model.predict(table)

    def _raw(self, part: str) -> pa.Table:
        """The rows of a part as they were read."""
        given = {"valid": self.tables.valid, "test": self.tables.test}.get(part)
        return given if given is not None else self.tables.table.take(pa.array(getattr(self.prepared.split, part)))


def _as_dicts(metrics: Mapping[str, Metrics]) -> dict[str, dict[str, int | float | None]]:
    return {part: figures.to_dict() for part, figures in metrics.items()}


def _describe(run: Run) -> str:
    """A run in a line. The test rows are not shown before all is done: they are not for choosing."""
    if run.error is not None:
        return f"failed: {run.error}"
    valid = run.metrics["valid"]
    auc = "" if valid["auc"] is None else f", AUC {valid['auc']:.5f}"
    return (
        f"validation log loss {valid['log_loss']:.5f}{auc}; best of {run.epochs} epochs: {run.best_epoch}; "
        f"{run.seconds:,.0f} s"
    )


def _time_left(done: Sequence[Run], steps: Sequence[tuple[Contender, int]]) -> str:
    """How long the steps will take, by what their contenders took before; others take the average."""
    took: dict[str, list[float]] = {}
    for run in done:
        took.setdefault(run.contender, []).append(run.seconds)
    if not took:
        return ""
    means = {name: sum(seconds) / len(seconds) for name, seconds in took.items()}
    average = sum(means.values()) / len(means)
    left = sum(means.get(contender.name, average) for contender, _ in steps)
    return f"; about {datetime.timedelta(seconds=round(left))} left"
