"""The verbs as functions: `train`, `search`, `resume`, `load`, `compare`. There is one way to train, and it is here."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any, Unpack

from fieldwise import recipes
from fieldwise.columns.tables import Source
from fieldwise.comparison.grid import compare
from fieldwise.environment import Environment
from fieldwise.errors import SettingsError, TrainingError, TrainingWarning
from fieldwise.models import registry
from fieldwise.predictor import Predictor
from fieldwise.predictor.files import require_free
from fieldwise.predictor.model_card import ModelCard
from fieldwise.preparation import DataArguments, DataRequest, Prepared, prepare_request, takes_data
from fieldwise.recipes.network import settle_training
from fieldwise.recipes.run_directory import RunDirectory, RunRecord, require_same
from fieldwise.reporting import Reporter
from fieldwise.settings import Settings, resolve_settings, trees
from fieldwise.storage.places import expanded, place
from fieldwise.training.diagnosis import remarks
from fieldwise.training.execution import reuse
from fieldwise.wording import argument, either

__all__ = ["compare", "load", "resume", "search", "train"]


@takes_data
def train(
    source: Source,
    *,
    model: str | None = None,
    objective: str | None = None,
    settings: Mapping[str, Any] | Settings | None = None,
    config: str | Path | None = None,
    seed: int | None = None,
    out: str | Path | None = None,
    overwrite: bool = False,
    resume: bool = False,
    progress: bool | Reporter = True,
    **data: Unpack[DataArguments],
) -> Predictor:
    """Train a model on a table of clicks: read, split, encode, fit, measure.

    A model that builds from an architecture and is given none (`aim`, `autofis`) searches for one first.

    Args:
        source: a path (CSV, TSV, compressed, Parquet, Arrow), several paths, a data frame, an Arrow table, a dict of
            columns, or the name of a built-in data set, which brings its own schema and split.
        model: a registered name, default `autoint`; or `lightgbm` or `catboost` (extra `gbdt`).
        objective: what the label is: `binary` (clicks, the default) or `regression` (numbers).
        settings: single settings by dotted or bare name, such as {"epochs": 3, "model.num_heads": 4}, or a complete
            Settings.
        config: a TOML file of settings.
        seed: decides split, initial weights, order of rows and dropout.
        out: where to save the predictor; refused before training where something is there, unless `overwrite`. While
            the run lasts, checkpoints lie beside it in `OUT.unfinished`.
        overwrite: replace what is at `out`.
        resume: go on with the unfinished run beside `out`. Everything else must be said as before, but for what does
            not change the steps already taken (epochs, patience, checkpoint_minutes); where it is all in files,
            `fieldwise.resume(out)` needs nothing else.
        progress: whether to show what is decided, and bars, or a Reporter of one's own. All that is said goes to
            the logger `fieldwise` in any case.
        **data: see `fieldwise.preparation.DataArguments`.

    Returns:
        The Predictor with the weights of the best epoch on the validation rows.

    Raises:
        DataError: the rows cannot be used as given; so SchemaError for roles and fields, SettingsError for settings,
            ArgumentError for an argument that does not exist; all before any training.
        TrainingError: the loss is not a number, or a resumed run would not be the same run.
        StorageError: `out` cannot be written, or another process writes to it.

    Example:
        >>> import fieldwise as fw
        >>> clicks = {"user": ["ann", "bob", "cyd", "dan"] * 50, "price": [1.5, 2.0, 7.25, 3.0] * 50}
        >>> clicks["click"] = [0, 1, 1, 0] * 50
        >>> predictor = fw.train(clicks, label="click", model="fm", settings={"epochs": 1}, progress=False)
        >>> predictor.predict([{"user": "bob", "price": 2.5}]).shape
        (1,)
    """
    reporter = Reporter.of(progress)
    if not isinstance(settings, Settings):
        settings = resolve_settings(model=model, config=config, overrides=settings, seed=seed, objective=objective)
    if resume and out is None:
        raise SettingsError("resume needs out, the place of the unfinished run")
    request = DataRequest(source, data)
    run = None if out is None else RunDirectory.beside(place(out))
    with ExitStack() as stack:
        stack.enter_context(reporter)
        if run is not None:
            require_free(run.model, overwrite=overwrite or resume)
            stack.enter_context(run.held(resume=resume, overwrite=overwrite))
        prepared = prepare_request(
            request, settings.data, seed=settings.seed, objective=settings.objective, reporter=reporter
        )
        if run is not None:
            prepared, settings = _recorded(run, request, prepared, settings, resume=resume, reporter=reporter)
        result = recipes.train(prepared, settings, run, reporter=reporter)
        predictor = Predictor(result.model, result.settings, ModelCard.of(prepared, result))
        if run is not None:
            predictor.save(run.model, overwrite=overwrite or resume)
            if predictor.history.ended != "interrupted":
                run.remove()
        for text in remarks(predictor.history, prepared.encoder.layout, rows=len(prepared.parts["train"])):
            reporter.warn(text, TrainingWarning)
    return predictor


def _recorded(
    run: RunDirectory,
    request: DataRequest,
    prepared: Prepared,
    settings: Settings,
    *,
    resume: bool,
    reporter: Reporter,
) -> tuple[Prepared, Settings]:
    """Write down what is asked for, or hold it against what the run that goes on was asked for."""
    then = run.read() if resume else None
    if then is not None:
        # Said before anything that follows from the objective, such as the metric that decides on the best epoch.
        if then.settings.objective != settings.objective:
            raise TrainingError(
                f"cannot resume: the objective was {then.settings.objective} and is {settings.objective}; "
                f"say it as before, or start anew with {argument('overwrite', True)}"
            )
        prepared = replace(prepared, columns=tuple(then.columns))
        settings = settings.with_training(reuse(settings.training, then.settings.training))
    if settings.model in registry.names():
        settings = settle_training(prepared.encoder.layout, settings, rows=len(prepared.parts["train"]))
    names = request.arguments.get("names")
    now = RunRecord(
        **request.sources(),
        names=None if names is None else list(names),
        separator=request.arguments.get("separator"),
        schema_=prepared.schema,
        columns=list(prepared.columns),
        settings=settings,
        digest={part: prepared.digest[part] for part in ("train", "valid")},
        environment=Environment.current(),
    )
    if then is not None:
        require_same(then, now)
        if then.environment != now.environment:
            reporter.warn(
                f"the run began with {then.environment.threads} threads and goes on with "
                f"{now.environment.threads}: sums may differ in their last digits"
            )
    run.write(now)
    return prepared, settings


@takes_data
def search(
    source: Source,
    *,
    orders: Sequence[int] | None = None,
    functions: Sequence[str] | None = None,
    time_budget: float | None = None,
    model: str = "aim",
    objective: str | None = None,
    settings: Mapping[str, Any] | None = None,
    config: str | Path | None = None,
    seed: int | None = None,
    out: str | Path | None = None,
    overwrite: bool = False,
    resume: bool = False,
    progress: bool | Reporter = True,
    **data: Unpack[DataArguments],
) -> Predictor:
    """Search for interactions, their functions and embedding dimensions, then train with the architecture (AIM).

    With `out`, the file `architecture.json` lies there with the predictor.

    Args:
        source: as in `train`.
        orders: how many fields an interaction may have, such as (2, 3); default (2,).
        functions: interaction functions to choose from; default all.
        time_budget: seconds for all of it.
        model: `aim` or `autofis`.
        objective: as in `train`.
        settings: further ones; those of the search begin with `search.`.
        config: as in `train`.
        seed: as in `train`.
        out: as in `train`.
        overwrite: as in `train`.
        resume: as in `train`.
        progress: as in `train`.
        **data: see `fieldwise.preparation.DataArguments`.

    Returns:
        The Predictor, whose `architecture` is what the search came to.

    Raises:
        SettingsError: the model does not search.
        FieldwiseError: as `train` raises.

    Example:
        >>> import fieldwise as fw
        >>> clicks = {"user": ["ann", "bob", "cyd", "dan"] * 50, "hour": [1, 2] * 100, "click": [0, 1, 1, 0] * 50}
        >>> predictor = fw.search(clicks, label="click", settings={"epochs": 1}, progress=False)
        >>> list(predictor.architecture.fields)
        ['user', 'hour']
    """
    registry.require_searchable(model)
    asked = {"search.orders": orders, "search.functions": functions, "search.time_budget": time_budget}
    given = {name: value for name, value in asked.items() if value is not None}
    return train(
        source,
        model=model,
        objective=objective,
        settings={**(settings or {}), **given},
        config=config,
        seed=seed,
        out=out,
        overwrite=overwrite,
        resume=resume,
        progress=progress,
        **data,
    )


def resume(path: str | Path, *, progress: bool | Reporter = True) -> Predictor:
    """Go on with the unfinished run beside `path`, whose data, schema and settings are all written down there.

    Args:
        path: the `out` of the call that was interrupted.
        progress: as in `train`.

    Returns:
        The Predictor, equal to that of a run that was never interrupted.

    Raises:
        TrainingError: there is no such run, its rows came from memory or standard input (call `train` again with the
            same arguments and `resume=True`), or its data have changed.

    Example:
        >>> import fieldwise as fw
        >>> fw.resume("model")
        Traceback (most recent call last):
        fieldwise.errors.TrainingError: there is no unfinished run beside model (model.unfinished is missing)
    """
    record = RunDirectory.beside(expanded(path)).read()
    if record.source is None:
        raise TrainingError(
            f"the rows of {path} came from memory or standard input and cannot be read again; repeat the whole "
            f"{either(python='call with resume=True', command=f'command with --resume {path} for --out')}"
        )
    if record.settings.model not in trees.NAMES:
        registry.require_registered(record.settings.model)
    return train(
        record.source,
        settings=record.settings,
        schema=record.schema_,
        valid=record.valid,
        test=record.test,
        names=record.names,
        separator=record.separator,
        out=expanded(path),
        resume=True,
        progress=progress,
    )


def load(path: str | Path) -> Predictor:
    """Load a predictor that `Predictor.save`, `train(out=...)` or the command line wrote.

    Args:
        path: of its directory.

    Returns:
        The Predictor; its predictions are those of the one that was saved.

    Raises:
        PredictorFormatError: the directory is not a whole predictor.

    Example:
        >>> import fieldwise as fw
        >>> clicks = {"user": ["ann", "bob", "cyd", "dan"] * 50, "click": [0, 1, 1, 0] * 50}
        >>> _ = fw.train(clicks, label="click", model="lr", settings={"epochs": 1}, out="model", progress=False)
        >>> fw.load("model").settings.model
        'lr'
    """
    return Predictor.load(path)
