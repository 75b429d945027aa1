"""The verbs as functions: `train`, `resume` and `load`. There is one way to train, and it is here."""

from __future__ import annotations

import datetime
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import torch

from fieldwise import datasets
from fieldwise.card import Card, ColumnRecord, DataRecord, environment, fingerprint, split_record, versions
from fieldwise.data.dataset import Dataset
from fieldwise.data.roles import read_label
from fieldwise.data.splits import Split, SplitMethod, split_rows
from fieldwise.data.tables import Source, read_table
from fieldwise.encoding.calendar import time_keys
from fieldwise.encoding.encoder import Encoder
from fieldwise.errors import DataError, FieldwiseError, SchemaError, SettingsError, TrainingError
from fieldwise.layout import Layout
from fieldwise.models import registry
from fieldwise.models.base import CTRModel, count_parameters
from fieldwise.predictor import Predictor
from fieldwise.predictor_files import require_free
from fieldwise.reporting import Reporter
from fieldwise.schema import Schema
from fieldwise.schema_inference import infer_schema, remarks
from fieldwise.settings import Settings, TrainingSettings, resolve_settings
from fieldwise.training.evaluation import evaluate_model
from fieldwise.training.leaks import find_leaks
from fieldwise.training.plan import reuse, settle
from fieldwise.training.trainer import Trainer, fill_other
from fieldwise.unfinished import RunRecord, UnfinishedRun, require_same


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

    Returns the Predictor with the weights of the best epoch on the validation rows.
    Raises DataError, SchemaError or SettingsError for what cannot be used as given, before any training, and
    TrainingError where the loss is not a number, where another process writes to `out`, or where a resumed run
    would not be the same run.
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
        tables = _read(source, valid=valid, test=test, names=names)
        schema, columns = _settle_schema(
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
            chosen = _with_training(chosen, reuse(chosen.training, began.settings.training))
        prepared = _prepare(tables, schema, chosen)
        for note in prepared.notes:
            reporter.say(note)
        network = _build(prepared.encoder.layout, chosen)
        chosen = _with_training(chosen, settle(chosen.training, network))
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
                environment=environment(),
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
        predictor = _fit(network, prepared, columns, chosen, run=run, resume=resume, reporter=reporter)
        if run is not None:
            predictor.save(run.path, overwrite=overwrite or resume)
            if predictor.history.ended != "interrupted":
                run.finish()
    return predictor


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


@dataclass(frozen=True)
class _Prepared:
    """Encoded rows by part (`train`, `valid`, `test`), and what the card tells of the data."""

    encoder: Encoder
    parts: dict[str, Dataset]
    data: DataRecord
    notes: tuple[str, ...]


def _prepare(tables: _Tables, schema: Schema, settings: Settings) -> _Prepared:
    """Split and encode; the encoder learns from training rows only."""
    clicks = read_label(tables.table, schema)
    if not len(clicks):
        raise DataError(f"{tables.source}: there are no rows")
    if clicks.min() == clicks.max():
        raise DataError(
            f"{tables.source}: every row has the label {clicks[0]:.0f}; a model needs rows with and without clicks"
        )
    method, split = _settle_split(tables, schema, clicks, settings)
    encoder = Encoder.fit(tables.table.take(pa.array(split.train)), schema, min_count=settings.data.min_count)
    everything = Dataset.from_table(tables.table, encoder)
    parts = {part: everything.take(getattr(split, part)) for part in ("train", "valid", "test")}
    for part, given in (("valid", tables.valid), ("test", tables.test)):
        if given is not None:
            parts[part] = Dataset.from_table(given, encoder)
    data = DataRecord(
        source=tables.source,
        fingerprint=fingerprint(tables.table.column_names, clicks),
        rows=len(clicks),
        base_rate=float(clicks.mean(dtype=np.float64)),
        split=split_record(
            split,
            method=method,
            seed=settings.seed,
            valid_fraction=settings.data.valid_fraction if tables.valid is None else 0.0,
            test_fraction=settings.data.test_fraction if tables.test is None else 0.0,
        ),
    )
    notes = [*tables.notes, *everything.rows.report.infinite_lines()]
    notes += map(str, find_leaks(parts["train"], parts["valid"]))
    return _Prepared(encoder, parts, data, tuple(notes))


def _build(layout: Layout, settings: Settings) -> CTRModel:
    """The untrained model; its weights follow from the seed."""
    with torch.random.fork_rng():
        torch.manual_seed(settings.seed)
        return registry.build(settings.model, layout, settings.model_settings)


def _with_training(settings: Settings, training: TrainingSettings) -> Settings:
    return settings.model_copy(update={"training": training})


def _fit(
    network: CTRModel,
    prepared: _Prepared,
    columns: list[ColumnRecord],
    settings: Settings,
    *,
    run: UnfinishedRun | None,
    resume: bool,
    reporter: Reporter,
) -> Predictor:
    """Train the model, measure it, and wrap it up."""
    encoder, parts = prepared.encoder, prepared.parts
    parameters = {
        "all": count_parameters(network),
        "without_embeddings": count_parameters(network, embeddings=False),
    }
    reporter.say(
        f"{settings.model}: {parameters['all']:,} parameters ({parameters['without_embeddings']:,} without "
        f"embeddings), {len(parts['train']):,} rows to train on, {len(parts['valid']):,} to validate, "
        f"{len(parts['test']):,} to test"
    )
    checkpoint = None if run is None else run.checkpoint
    trainer = Trainer(network, settings=settings.training, seed=settings.seed, reporter=reporter, checkpoint=checkpoint)
    if resume and checkpoint is not None and checkpoint.exists():
        trainer.restore(checkpoint)
        reporter.say(f"resuming in epoch {trainer.state.epoch} after {trainer.state.rows:,} of its rows")
    history = trainer.fit(parts["train"], parts["valid"])
    filled = fill_other(network, parts["train"].id_counts())
    metrics = {
        part: evaluate_model(network, parts[part], trainer.objective).to_dict()
        for part in ("valid", "test")
        if len(parts[part])
    }
    notes = list(prepared.notes)
    if filled:
        shown = ", ".join(encoder.layout.fields[f].name for f in filled)
        notes.append(f"unseen tokens are predicted as the field's average token in: {shown}")
        reporter.say(notes[-1])
    card = Card(
        created=datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        versions=versions(),
        environment=environment(device=trainer.device),
        data=prepared.data,
        columns=columns,
        parameters=parameters,
        history=history,
        metrics=metrics,
        notes=notes,
    )
    return Predictor(encoder, network.cpu(), settings, card)


def _recorded(source: Source | None) -> str | list[str] | None:
    """A source as a later process can read it again; None where it cannot."""
    if isinstance(source, list | tuple) and all(isinstance(part, str | Path) for part in source):
        parts = [_recorded(part) for part in source]
        return [part for part in parts if isinstance(part, str)] if None not in parts else None
    if not isinstance(source, str | Path) or str(source) == "-":
        return None
    return str(source) if datasets.is_built_in(source) else str(Path(source).absolute())


@dataclass(frozen=True)
class _Tables:
    """What was read: the main table, further tables where given, and what a built-in data set brings."""

    source: str
    table: pa.Table
    valid: pa.Table | None
    test: pa.Table | None
    schema: Schema | None = None
    split: Split | None = None
    notes: tuple[str, ...] = ()


def _read(
    source: Source,
    *,
    valid: Source | None,
    test: Source | None,
    names: Sequence[str] | None,
) -> _Tables:
    valid_table = None if valid is None else read_table(valid, names=names)
    test_table = None if test is None else read_table(test, names=names)
    if datasets.is_built_in(source):
        named = datasets.load_dataset(source)
        return _Tables(source, named.table, valid_table, test_table, named.schema, named.split, named.notes)
    table = read_table(source, names=names)
    return _Tables(_describe(source), table, valid_table, test_table)


def _describe(source: Source) -> str:
    """A source in a few words; of a path only the name, since a predictor may travel to strangers."""
    if isinstance(source, str | Path):
        return "standard input" if str(source) == "-" else Path(source).name
    if isinstance(source, list | tuple) and source and isinstance(source[0], str | Path):
        return ", ".join(Path(part).name for part in source)
    return f"a {type(source).__name__} in memory"


def _settle_schema(
    tables: _Tables,
    *,
    schema: Schema | str | Path | None,
    label: str | None,
    positive: str | None,
    weight: str | None,
    group: str | None,
    time: str | None,
    fields: Mapping[str, Any],
    reporter: Reporter,
) -> tuple[Schema, list[ColumnRecord]]:
    """The schema to use: given, brought by the data set, or inferred; roles that are named win."""
    if isinstance(schema, str | Path):
        schema = Schema.load(schema)
    schema = schema or tables.schema
    roles = {"label": label, "positive": positive, "weight": weight, "group": group, "time": time}
    named = {role: column for role, column in roles.items() if column is not None}
    if schema is not None:
        for remark in remarks(tables.table, schema):
            reporter.say(remark)
        if fields:
            raise SchemaError("single fields are overridden in an inferred schema; edit the schema itself instead")
        return Schema.model_validate({**schema.model_dump(), **named}), []
    if label is None:
        raise SchemaError(
            f"which column holds the clicks? Name it with label=... (--label on the command line); the columns "
            f"are {', '.join(tables.table.column_names)}"
        )
    inference = infer_schema(
        tables.table,
        label=label,
        positive=positive,
        weight=weight,
        group=group,
        time=time,
        fields=fields,
    )
    reporter.table("Columns", inference.COLUMNS, inference.rows())
    columns = [ColumnRecord(column=d.column, decision=d.decision, reason=d.reason) for d in inference.decisions]
    return inference.schema, columns


def _settle_split(tables: _Tables, schema: Schema, clicks: Any, settings: Settings) -> tuple[SplitMethod | None, Split]:
    """Which rows of the main table train, validate and test."""
    if tables.split is not None:
        split = tables.split
        if tables.valid is not None:
            split = replace(split, valid=split.valid[:0])
        if tables.test is not None:
            split = replace(split, test=split.test[:0])
        return None, split
    method: SplitMethod = settings.data.split or ("time" if schema.time else "stratified")
    time = None
    if method == "time":
        if schema.time is None:
            raise SchemaError("a time-ordered split needs a time column; name it (--time COLUMN)")
        try:
            time = time_keys(tables.table.column(schema.time))
        except KeyError:
            raise DataError(f"the time column '{schema.time}' is missing") from None
        except FieldwiseError as error:
            raise DataError(f"time column '{schema.time}': {error}") from error
    split = split_rows(
        tables.table.num_rows,
        method=method,
        valid_fraction=0.0 if tables.valid is not None else settings.data.valid_fraction,
        test_fraction=0.0 if tables.test is not None else settings.data.test_fraction,
        seed=settings.seed,
        label=clicks,
        time=time,
    )
    return method, split
