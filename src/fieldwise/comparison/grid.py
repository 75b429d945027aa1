"""Training every contender with every seed on the same rows."""

from __future__ import annotations

import datetime
import time as clock
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, fields
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Unpack

from fieldwise import datasets, recipes
from fieldwise.columns.tables import Source
from fieldwise.comparison import files
from fieldwise.comparison.comparison import Comparison
from fieldwise.comparison.contenders import Contender, plan
from fieldwise.comparison.results import MetricSpec, Run
from fieldwise.comparison.storage import Storage
from fieldwise.environment import Environment, versions
from fieldwise.errors import FieldwiseError, SettingsError, TrainingError
from fieldwise.metrics import LABELS, Metrics
from fieldwise.objectives import Objective
from fieldwise.preparation import DataArguments, DataRequest, Prepared, prepare_request, takes_data
from fieldwise.recipes import RunDirectory, TrainingResult, boosting
from fieldwise.recipes.network import settle_training
from fieldwise.recipes.run_directory import RunRecord
from fieldwise.reporting import Reporter
from fieldwise.settings import Settings
from fieldwise.storage import places
from fieldwise.tuning import tune as tune_settings


@takes_data
def compare(
    source: Source,
    *,
    models: Sequence[str] | None = None,
    seeds: int = 5,
    objective: str | None = None,
    config: str | Path | None = None,
    settings: Mapping[str, Any] | None = None,
    base: str | None = None,
    tune: int = 0,
    seed: int = 0,
    published: str | None = None,
    out: str | Path | None = None,
    overwrite: bool = False,
    progress: bool | Reporter = True,
    **data: Unpack[DataArguments],
) -> Comparison:
    """Train many models on the same rows and hold them against each other.

    The split and the encoding are made once. Each contender is trained with `seeds` seeds, `seed` and those after it;
    its best epoch is chosen on the validation rows, and the test rows are looked at once per run, at its end. LightGBM
    and CatBoost read the raw columns of the same rows.

    Ctrl-C leaves what is done in `out` and raises KeyboardInterrupt. A run that fails (the loss is not a number) is
    recorded, and the others go on.

    Args:
        source: as in `fieldwise.train`.
        models: registered models, `lightgbm`, `catboost`, or sections of `config`; see
            `fieldwise.comparison.contenders`.
        seeds: runs of each contender.
        objective: what the label is: `binary` (clicks, the default) or `regression` (numbers).
        config: a TOML file of settings.
        settings: of training and data, for all networks.
        base: whose figures differences are taken to.
        tune: how many settings to try for each contender, on the validation rows with one seed, before its runs.
        seed: the first seed, which also decides the split.
        published: the data set whose published figures stand beside; default: the built-in data set itself.
        out: a directory. What is done there stays done: the same call again goes on, with more models or seeds if so
            asked.
        overwrite: begin anew instead.
        progress: as in `fieldwise.train`.
        **data: see `fieldwise.preparation.DataArguments`.

    Returns:
        The comparison: print it, or ask for `to_markdown()`, `to_pandas()` or `summaries()`.

    Raises:
        DataError: the rows cannot be used; so SchemaError and SettingsError; all before any training.
        TrainingError: every trial of a tuning failed.
        StorageError: another process works in `out`, or it cannot be written.

    Example:
        >>> import fieldwise as fw
        >>> clicks = {"user": ["ann", "bob", "cyd", "dan"] * 50, "click": [0, 1, 1, 0] * 50}
        >>> comparison = fw.compare(clicks, label="click", models=["lr", "fm"], seeds=2, progress=False)
        >>> [(summary.name, summary.seeds, summary.figures["auc"].mean) for summary in comparison.summaries()]
        [('lr', 2, 1.0), ('fm', 2, 1.0)]
    """
    reporter = Reporter.of(progress)
    if seeds < 1:
        raise SettingsError(f"seeds must be at least 1, got {seeds}")
    entries = plan(models, config=config, overrides=settings, base=base, tune=tune > 0, objective=objective)
    storage = None if out is None else Storage(places.place(out))
    if storage is not None:
        storage.require_usable()
    prepared = prepare_request(
        DataRequest(source, data), entries.data, seed=seed, objective=entries.objective, reporter=reporter
    )
    if not len(prepared.parts["valid"]) or not len(prepared.parts["test"]):
        raise SettingsError(
            "a comparison needs validation and test rows: leave data.valid_fraction and test_fraction above 0"
        )
    if published is None and datasets.is_built_in(source):
        published = str(source)
    comparison = Comparison(
        source=prepared.data.source,
        objective=entries.objective,
        dataset=published,
        rows={part: len(rows) for part, rows in prepared.parts.items()},
        split_seed=seed,
        base=entries.base,
        ours=entries.ours,
        order=[contender.name for contender in entries.contenders],
        metrics=_metric_specs(prepared.objective, grouped=prepared.schema.group is not None),
        monitor=prepared.objective.default_monitor,
    )
    with ExitStack() as stack:
        stack.enter_context(reporter)
        if storage is not None:
            stack.enter_context(storage.held(overwrite=overwrite))
            storage.require_same_rows(prepared, entries.data, seed)
        grid = _Grid(entries.contenders, prepared, range(seed, seed + seeds), tune, storage, reporter)
        grid.run(comparison)
    return comparison


@dataclass(frozen=True)
class _Grid:
    """All runs of a comparison, one after another. seeds: of the runs. tune: trials for each contender."""

    contenders: Sequence[Contender]
    prepared: Prepared
    seeds: range
    tune: int
    storage: Storage | None
    reporter: Reporter

    def run(self, comparison: Comparison) -> None:
        """Make the runs that are not done yet; each is added to the comparison."""
        self._check()
        tuned = {contender.name: self._tuned(contender) for contender in self.contenders}
        # Seed by seed: a comparison that is stopped has all of its contenders.
        steps = [(c, seed) for seed in self.seeds for c in self.contenders]
        for number, (contender, seed) in enumerate(steps, start=1):
            settings = self._settings(contender, seed, tuned[contender.name])
            run = None if self.storage is None else self.storage.read_run(contender.name, seed, settings)
            if run is None:
                left = _time_left(comparison.runs, steps[number - 1 :])
                self.reporter.say(f"[{number}/{len(steps)}] {contender.name}, seed {seed}{left}")
                run = self._one(contender, settings, tuned[contender.name])
                self.reporter.say(f"        {self._describe(run)}")
                if self.storage is not None:
                    self.storage.write_run(run)
            comparison.runs.append(run)
            if self.storage is not None:
                files.write(comparison, self.storage.path)

    def _check(self) -> None:
        """Settings that contradict each other or the data are found before the first run, not in the tenth hour."""
        for contender in self.contenders:
            if contender.is_external:
                boosting.require(contender.model)
                continue
            try:
                settle_training(self.prepared.encoder.layout, self._settings(contender, self.seeds[0], {}))
            except FieldwiseError as error:
                raise type(error)(f"{contender.name}: {error}") from error

    def _settings(self, contender: Contender, seed: int, tuned: Mapping[str, Any]) -> Settings:
        """All settings of a run, as they are asked for."""
        return contender.resolve(seed, tuned, objective=self.prepared.objective.name)

    def _tuned(self, contender: Contender) -> dict[str, Any]:
        """What tuning finds best for a contender, by the validation rows and the first seed."""
        if not self.tune or not contender.ranges:
            return {}
        self.reporter.say(f"tuning {contender.name}: {self.tune} trials over {', '.join(contender.ranges)}")
        objective = self.prepared.objective

        def evaluate(trial: dict[str, Any], number: int) -> float:
            directory = None if self.storage is None else RunDirectory(place / f"trial{number}.unfinished")
            result = self._train(self._settings(contender, self.seeds[0], trial), directory)
            value = result.metrics["valid"].to_dict()[objective.default_monitor]
            assert value is not None
            return value

        with ExitStack() as stack:
            if self.storage is not None:
                place = self.storage.tuning(contender.name)
            else:
                place = Path(stack.enter_context(TemporaryDirectory()))
            return tune_settings(
                contender.ranges,
                trials=self.tune,
                evaluate=evaluate,
                metric=LABELS[objective.default_monitor],
                place=place,
                seed=self.seeds[0],
                reporter=self.reporter,
            ).best

    def _one(self, contender: Contender, settings: Settings, tuned: Mapping[str, Any]) -> Run:
        run = Run(
            contender=contender.name,
            model=contender.model,
            seed=settings.seed,
            settings=settings.model_dump(mode="json"),
            tuned=dict(tuned),
        )
        try:
            directory = None if self.storage is None else self.storage.run_directory(contender.name, settings.seed)
            figures = self._figures(self._train(settings, directory))
        except TrainingError as error:
            figures = {"error": str(error)}
        created = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
        return run.model_copy(
            update={"created": created, "environment": Environment.current(), "versions": versions(), **figures}
        )

    def _train(self, settings: Settings, directory: RunDirectory | None) -> TrainingResult:
        """Train and validate; the test rows stay out of it."""
        prepared = self.prepared.without_test()
        if directory is not None:
            directory.begin_or_go_on(
                RunRecord(
                    schema_=prepared.schema,
                    settings=settings,
                    digest={part: self.prepared.digest[part] for part in ("train", "valid")},
                    environment=Environment.current(),
                )
            )
        result = recipes.train(prepared, settings, directory, reporter=self.reporter.bars_only())
        if result.history.ended == "interrupted":
            raise KeyboardInterrupt
        if directory is not None:
            directory.remove()
        return result

    def _figures(self, result: TrainingResult) -> dict[str, Any]:
        """What is recorded of a run, the test rows measured."""
        test = result.model.evaluate_part(self.prepared, "test")
        began = clock.perf_counter()
        result.model.predict_part(self.prepared, "test")
        seconds = clock.perf_counter() - began
        return {
            "settings": result.settings.model_dump(mode="json"),
            "parameters": result.model.parameters,
            "metrics": _as_dicts({**result.metrics, "test": test}),
            "history": result.history if result.history.records else None,
            "epochs": result.epochs,
            "best_epoch": result.best_epoch,
            "seconds": result.seconds,
            "train_rows_per_s": result.rows_per_s,
            "predict_rows_per_s": test.rows / seconds,
        }

    def _describe(self, run: Run) -> str:
        """A run in a line. The test rows are not shown before all is done: they are not for choosing."""
        if run.error is not None:
            return f"failed: {run.error}"
        valid = run.metrics["valid"]
        shown = [f"{LABELS[n]} {valid[n]:.5f}" for n in self.prepared.objective.monitors if valid[n] is not None]
        return f"validation {', '.join(shown)}; best of {run.epochs} epochs: {run.best_epoch}; {run.seconds:,.0f} s"


def _metric_specs(objective: Objective, *, grouped: bool) -> tuple[MetricSpec, ...]:
    """The metrics of the table, with groups GAUC too. AUC stands before log loss, as in the papers' tables."""
    specs = [MetricSpec(name=name, label=LABELS[name], better=better) for name, better in objective.monitors.items()]
    if grouped and any(figure.name == "gauc" for figure in fields(objective.metrics_class)):
        specs.append(MetricSpec(name="gauc", label=LABELS["gauc"], better="max"))
    return tuple(sorted(specs, key=lambda spec: spec.better == "min"))


def _as_dicts(metrics: Mapping[str, Metrics]) -> dict[str, dict[str, int | float | None]]:
    return {part: figures.to_dict() for part, figures in metrics.items()}


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
