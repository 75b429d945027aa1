"""The verbs as functions: `train`, `search`, `resume`, `load`, `compare`. There is one way to train, and it is here."""

from __future__ import annotations

import datetime
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from fieldwise import datasets
from fieldwise.columns.tables import Source
from fieldwise.comparison.grid import compare
from fieldwise.environment import Environment, versions
from fieldwise.errors import SettingsError, TrainingError
from fieldwise.models import registry
from fieldwise.predictor import Predictor
from fieldwise.predictor.files import require_free
from fieldwise.predictor.model_card import ModelCard
from fieldwise.preparation import prepare, read, settle_schema
from fieldwise.recipes.network import build, count, fit, settle_training
from fieldwise.recipes.run_directory import RunRecord, UnfinishedRun, require_same
from fieldwise.recipes.search import search as search_for
from fieldwise.reporting import Reporter
from fieldwise.schema import Schema
from fieldwise.settings import Settings, resolve_settings
from fieldwise.training.execution import reuse

__all__ = ["compare", "load", "resume", "search", "train"]


def train(
    source: Source,
    *,
    label: str | None = None,
    model: str | None = None,
    settings: Mapping[str, Any] | Settings | None = None,
    config: str | Path | None = None,
    seed: int | None = None,
    schema: Schema | str | Path | None = None,
    fields: Mapping[str, Any] | None = None,
    positive: str | None = None,
    weight: str | None = None,
    group: str | None = None,
    time: str | None = None,
    valid: Source | None = None,
    test: Source | None = None,
    names: Sequence[str] | None = None,
    out: str | Path | None = None,
    overwrite: bool = False,
    resume: bool = False,
    progress: bool | Reporter = True,
) -> Predictor:
    """Train a model on a table of clicks: read, split, encode, fit, measure.

    source: a path (CSV, TSV, compressed, Parquet, Arrow), several paths, a data frame, an Arrow table, a dict of
        columns, or the name of a built-in data set, which brings its own schema and split.
    label: the column with the clicks, 0/1 or true/false; with `positive`, two values of which that is the click.
    model: a registered name, default `autoint`. settings: single settings by dotted or bare name, such as
        {"epochs": 3, "model.num_heads": 4}, or a complete Settings. config: a TOML file of settings.
    seed: decides split, initial weights, order of rows and dropout.
    schema: a Schema or its file, used as it stands; without one it is inferred, and `fields` overrides single
        columns ({"age": "numeric", "row_id": "ignore"}).
    weight, group, time: columns with row weights, groups for GAUC, and times; a time column makes the split
        time-ordered.
    valid, test: validation and test rows of their own; without them a share of the source each.
    names: column names of a text file without a header line.
    out: where to save the predictor; refused before training where something is there, unless `overwrite`. While
        the run lasts, checkpoints lie beside it in `OUT.unfinished`.
    resume: go on with the unfinished run beside `out`. Everything else must be said as before; where it is all in
        files, `fieldwise.resume(out)` needs nothing else.
    progress: whether to say what is decided and to show bars, or a Reporter of one's own.

    A model that builds from an architecture and is given none (`aim`, `autofis`) searches for one first.

    Returns the Predictor with the weights of the best epoch on the validation rows.
    Raises DataError, SchemaError or SettingsError for what cannot be used as given, before any training, and
    TrainingError where the loss is not a number, or where a resumed run would not be the same run; StorageError where
    `out` cannot be written, or another process writes to it.
    """
    reporter = progress if isinstance(progress, Reporter) else Reporter(enabled=progress)
    if isinstance(settings, Settings):
        chosen = settings
    else:
        chosen = resolve_settings(model=model, config=config, overrides=settings, seed=seed)
    if resume and out is None:
        raise SettingsError("resume needs out, the place of the unfinished run")
    run = None if out is None else UnfinishedRun(Path(out))
    with ExitStack() as stack:
        if run is not None:
            require_free(run.path, overwrite=overwrite or resume)
            stack.enter_context(run.held(resume=resume, overwrite=overwrite))
        tables = read(source, valid=valid, test=test, names=names)
        schema, columns = settle_schema(
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
        if resume and run is not None:
            began = run.read()
            columns = began.columns
            chosen = chosen.with_training(reuse(chosen.training, began.settings.training))
        prepared = prepare(tables, schema, chosen.data, seed=chosen.seed)
        for note in prepared.notes:
            reporter.say(note)
        chosen = settle_training(prepared.encoder.layout, chosen)
        if run is not None:
            record = RunRecord(
                source=_recorded(source),
                valid=_recorded(valid),
                test=_recorded(test),
                names=None if names is None else list(names),
                schema_=schema,
                columns=columns,
                settings=chosen,
                digest={part: prepared.parts[part].digest() for part in ("train", "valid")},
                environment=Environment.current(),
            )
            if resume:
                require_same(began, record)
                if began.environment != record.environment:
                    reporter.say(
                        f"the run began with {began.environment.threads} threads and goes on with "
                        f"{record.environment.threads}: sums may differ in their last digits"
                    )
            else:
                run.write(record)
        if chosen.wants_search:
            place = None if run is None else run.search
            chosen = search_for(prepared.parts, chosen, source=tables.source, place=place, reporter=reporter)
        network = build(prepared.encoder.layout, chosen)
        fitted = fit(
            network,
            prepared.parts,
            chosen,
            checkpoint=None if run is None else run.checkpoint,
            restore=resume,
            reporter=reporter,
        )
        notes = list(prepared.notes)
        if fitted.filled:
            notes.append(f"unseen tokens are predicted as the field's average token in: {', '.join(fitted.filled)}")
            reporter.say(notes[-1])
        card = ModelCard(
            created=datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
            versions=versions(),
            environment=Environment.current(device=fitted.device),
            data=prepared.data,
            columns=columns,
            parameters=count(network),
            history=fitted.history,
            metrics={part: metrics.to_dict() for part, metrics in fitted.metrics.items()},
            notes=notes,
        )
        predictor = Predictor(prepared.encoder, fitted.network, chosen, card)
        if run is not None:
            predictor.save(run.path, overwrite=overwrite or resume)
            if predictor.history.ended != "interrupted":
                run.finish()
    return predictor


def search(
    source: Source,
    *,
    orders: Sequence[int] | None = None,
    functions: Sequence[str] | None = None,
    time_budget: float | None = None,
    model: str = "aim",
    settings: Mapping[str, Any] | None = None,
    **arguments: Any,
) -> Predictor:
    """Search for interactions, their functions and embedding sizes, then train with what was found (AIM).

    orders: how many fields an interaction may have, such as (2, 3); default (2,). functions: interaction functions to
        choose from; default all. time_budget: seconds for all of it. model: `aim` or `autofis`.
    settings: further ones; those of the search begin with `search.`. The other arguments are those of `train`.

    With `out`, the file `architecture.json` lies there with the predictor. Returns the Predictor; what was found is
    its `architecture`. Raises SettingsError for a model that does not search, and what `train` raises.
    """
    registry.require_searchable(model)
    asked = {"search.orders": orders, "search.functions": functions, "search.time_budget": time_budget}
    chosen = {name: value for name, value in asked.items() if value is not None}
    return train(source, model=model, settings={**(settings or {}), **chosen}, **arguments)


def resume(path: str | Path, *, progress: bool | Reporter = True) -> Predictor:
    """Go on with the unfinished run beside `path`, whose data, schema and settings are all known.

    Raises TrainingError where there is none, where its rows came from memory or standard input (call `train` again
    with the same arguments and `resume=True`), or where its data have changed.
    """
    record = UnfinishedRun(Path(path)).read()
    if record.source is None:
        raise TrainingError(
            f"the rows of {path} came from memory or standard input and cannot be read again; repeat the whole "
            "call or command with resume=True (--resume)"
        )
    return train(
        record.source,
        settings=record.settings,
        schema=record.schema_,
        valid=record.valid,
        test=record.test,
        names=record.names,
        out=path,
        resume=True,
        progress=progress,
    )


def load(path: str | Path) -> Predictor:
    """Load a predictor that `Predictor.save`, `train(out=...)` or the command line wrote.

    Raises PredictorFormatError where the directory is not a whole predictor.
    """
    return Predictor.load(path)


def _recorded(source: Source | None) -> str | list[str] | None:
    """A source as a later process can read it again; None where it cannot."""
    if isinstance(source, list | tuple) and all(isinstance(part, str | Path) for part in source):
        parts = [_recorded(part) for part in source]
        return [part for part in parts if isinstance(part, str)] if None not in parts else None
    if not isinstance(source, str | Path) or str(source) == "-":
        return None
    return str(source) if datasets.is_built_in(source) else str(Path(source).absolute())
