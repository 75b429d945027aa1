"""Predictor: a fitted model with its settings and its card, and one directory on disk that needs nothing else.

manifest.json        format version, kind of model, and the size and SHA-256 of every other file
schema.json          the fields and roles
objective.json       what the label was, and what a prediction is
settings.json        the model's name and all settings of the run
card.json            what was decided, the training history, figures, versions
vocabularies.arrow   every token with its count, in id order
encoder.json         of a network: scalings and buckets
weights.safetensors  of a network: its tensors
architecture.json    of a network that was built from one: a copy, which is not read back
trees.json           of boosted trees: what they consist of
trees.bin            of boosted trees: the trees in their library's own format
"""

from __future__ import annotations

import html
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from fieldwise.architecture import Architecture
from fieldwise.columns.access import get_column
from fieldwise.columns.dates import time_keys
from fieldwise.columns.tables import Source, iter_tables, read_table
from fieldwise.data.splits import split_rows
from fieldwise.encoding.encoded import EncodingReport
from fieldwise.errors import ArgumentError, DataWarning, EvaluationWarning, UnseenValuesWarning, suggest
from fieldwise.metrics import Metrics
from fieldwise.objectives import Objective
from fieldwise.predictor.files import read_predictor, write_predictor
from fieldwise.predictor.model_card import ModelCard, summary_rows
from fieldwise.preparation.records import rows_fingerprint
from fieldwise.recipes.fitted import FittedModel, Predictions
from fieldwise.reporting import Reporter
from fieldwise.schema import Schema
from fieldwise.settings import Settings
from fieldwise.storage.places import expanded, place
from fieldwise.training.history import History


class Predictor:
    """Predicts from raw rows, such as the probability of a click.

    Calls leave nothing behind, so several threads may use one predictor. Whoever wants the account of unseen and
    missing values passes a `fieldwise.EncodingReport`, which the call fills.

    Attributes:
        model: what was fitted.
        settings: all of its run.
        card: how it was made.

    Example:
        >>> import fieldwise as fw
        >>> clicks = {"user": ["ann", "bob", "cyd", "dan"] * 50, "click": [0, 1, 1, 0] * 50}
        >>> predictor = fw.train(clicks, label="click", model="lr", settings={"epochs": 1}, progress=False)
        >>> report = EncodingReport()
        >>> predictor.predict({"user": ["bob", "zoe"]}, report=report).shape
        (2,)
        >>> report.lines()
        ['user: 1 of 2 values are not in the vocabulary (for example zoe)']
        >>> predictor.evaluate(clicks).rows, predictor.evaluate(clicks, rows="all").rows
        (20, 200)
    """

    def __init__(self, model: FittedModel, settings: Settings, card: ModelCard) -> None:
        self.model = model
        self.settings = settings
        self.card = card

    @property
    def schema(self) -> Schema:
        """The fields and roles of the columns."""
        return self.model.schema

    @property
    def objective(self) -> Objective:
        """What the label was, and what a prediction is."""
        return self.model.objective

    @property
    def history(self) -> History:
        """The training history; without epochs for boosted trees."""
        return self.card.history

    @property
    def architecture(self) -> Architecture | None:
        """The interactions that the model was built from; None for a model that was not."""
        document = self.settings.model_settings.get("architecture")
        return None if document is None else Architecture.model_validate(document)

    def predict(
        self,
        source: Source,
        *,
        names: Sequence[str] | None = None,
        separator: str | None = None,
        report: EncodingReport | None = None,
    ) -> Predictions:
        """The prediction of every row: of clicks their probability.

        Args:
            source: a path, a data frame, an Arrow table, a dict of columns, a list of dicts, or a single row as a
                pandas Series; columns that no field reads are left alone. Few dicts are as quick as with
                `predict_rows`.
            names: as in `fieldwise.train`.
            separator: as in `fieldwise.train`.
            report: takes in the account of this call: per field, values outside the vocabulary (they are predicted
                with the field's out-of-vocabulary id), missing values and infinities. Without one, what is worth
                telling is a warning: `UnseenValuesWarning` where most values of a field are unseen, `DataWarning` for
                what could not be read or lies far off.

        Returns:
            float64 [N], in the order of the source.

        Raises:
            DataError: a column is missing or holds a value of the wrong kind; the message names it.
        """
        met = EncodingReport() if report is None else report
        rows = _few_rows(source)
        if rows is not None:
            parts = [self.model.predict_rows(rows, report=met)]
        else:
            parts = [p for _, p in self.predict_tables(source, names=names, separator=separator, report=met)]
        if report is None:
            _warn_of(met)
        return np.concatenate(parts) if parts else np.empty(0)

    def predict_tables(
        self,
        source: Source,
        *,
        names: Sequence[str] | None = None,
        separator: str | None = None,
        report: EncodingReport | None = None,
        reporter: Reporter | None = None,
    ) -> Iterator[tuple[pa.Table, Predictions]]:
        """Read a source piece by piece and predict each; memory stays bounded.

        Args:
            source: as in `predict`.
            names: as in `predict`.
            separator: as in `predict`.
            report: as in `predict`.
            reporter: shows a bar.

        Yields:
            Each piece with its predictions, float64 [rows of the piece].

        Raises:
            DataError: as `predict` does.
        """
        with (reporter or Reporter(enabled=False)).rows(None, "predicting") as progress:
            for table in iter_tables(source, names=names, separator=separator):
                yield table, self.model.predict(table, report=report)
                progress.update(table.num_rows)

    def predict_rows(self, rows: Sequence[Mapping[str, Any]], *, report: EncodingReport | None = None) -> Predictions:
        """The predictions of a few rows, by the quickest way.

        Args:
            rows: dicts of Python values, column name to value; None stands for missing.
            report: as in `predict`.

        Returns:
            float64 [N].

        Raises:
            DataError: as `predict` does.
        """
        return self.model.predict_rows(rows, report=report)

    def evaluate(
        self,
        source: Source,
        *,
        rows: Literal["test", "all"] | None = None,
        names: Sequence[str] | None = None,
        separator: str | None = None,
        report: EncodingReport | None = None,
        reporter: Reporter | None = None,
    ) -> Metrics:
        """The objective's metrics over the rows of a source that has the label: AUC, log loss and others of clicks.

        Args:
            source: as in `predict`, or the name of a built-in data set. Where it lacks the weight column, every row
                counts 1.
            rows: `test`: a table that the predictor was trained on is recognised by the order of its labels, whatever
                its columns, and only its recorded test rows are measured; of any other table all rows are.
                `all`: all rows in any case. None: as `test`, and which rows are measured is a warning
                (`EvaluationWarning`) where no reporter says it.
            names: as in `predict`.
            separator: as in `predict`.
            report: as in `predict`.
            reporter: shows a bar, and says where only test rows are measured and where weights are missing.

        Returns:
            Metrics, whose `part` and `rows` say which rows were measured and how many.

        Raises:
            DataError: as `predict` does, and where the label is missing or not as the objective needs it.
            ArgumentError: `rows` is neither.
        """
        from fieldwise import datasets

        if rows not in ("test", "all", None):
            raise ArgumentError(f"there are no rows '{rows}'; {suggest(str(rows), ('test', 'all'))}")
        reporter = reporter or Reporter(enabled=False)
        met = EncodingReport() if report is None else report
        own_split = None
        if datasets.is_built_in(source):
            named = datasets.load_dataset(source)
            table, own_split = named.table, named.split
        else:
            table = read_table(source, names=names, separator=separator)
        part: Literal["all", "test"] = "all"
        if rows != "all":
            label = self.objective.read_label(table, self.schema)
            is_known = self.card.data.is_of(table.column_names, label)
            known_test = None if own_split is None else own_split.test
            test = self._recorded_test_rows(table, label, known_test) if is_known else None
            if test is not None:
                part = "test"
                said = f"this is the table that the model was trained on: evaluating its {len(test):,} test rows only"
                if rows is None:
                    reporter.warn(said, EvaluationWarning)
                else:
                    reporter.say(said)
                table = table.take(pa.array(test))
            elif not is_known and self.card.data.may_be_of(label):
                reporter.warn(
                    "these are as many rows, and the same labels, as in the table that the model was trained on, but "
                    "in another order: whether they are the same cannot be told. If so, the figures are too good",
                    EvaluationWarning,
                )
        if self.schema.weight not in (None, *table.column_names):
            reporter.warn(
                f"the weight column '{self.schema.weight}' is missing: every row counts the same", EvaluationWarning
            )
        with reporter.rows(table.num_rows, "evaluating") as progress:
            metrics = self.model.evaluate(table, report=met, progress=progress)
        if report is None:
            _warn_of(met)
        return replace(metrics, part=part)

    def save(self, path: str | Path, *, overwrite: bool = False) -> Path:
        """Write the predictor as a directory, all or nothing.

        Args:
            path: of the directory.
            overwrite: replace a predictor that is there.

        Returns:
            The path.

        Raises:
            PredictorFormatError: something is there already that may not be replaced.
            StorageError: it cannot be written.
        """
        return write_predictor(place(path), self.model, self.settings, self.card, overwrite=overwrite)

    @classmethod
    def load(cls, path: str | Path) -> Predictor:
        """Read a directory written by `save`.

        Args:
            path: of the directory.

        Returns:
            The Predictor.

        Raises:
            PredictorFormatError: the directory is not a whole predictor.
        """
        return cls(*read_predictor(expanded(path)))

    def _recorded_test_rows(
        self, table: pa.Table, label: npt.NDArray[np.floating[Any]], test: npt.NDArray[np.int64] | None
    ) -> npt.NDArray[np.int64] | None:
        """The test rows of the table that the predictor was trained on; None where they are not found again.

        test: those of a built-in data set, which need not be.
        """
        split = self.card.data.split
        if not split.test_rows:
            return None
        if test is None and split.method is not None:
            time = None
            if split.method == "time":
                assert self.schema.time is not None
                time = time_keys(get_column(table, self.schema.time, role="time"))
            test = split_rows(
                table.num_rows,
                method=split.method,
                valid_fraction=split.valid_fraction,
                test_fraction=split.test_fraction,
                seed=split.seed,
                strata=self.objective.strata(label),
                time=time,
            ).test
        return test if test is not None and rows_fingerprint(test) == split.test_fingerprint else None

    def __repr__(self) -> str:
        lines = [f"Predictor: {self.settings.model} on {len(self.schema.fields)} fields"]
        lines += [f"  {name:<11} {value}" for name, value in summary_rows(self.card, self.objective)]
        return "\n".join(lines)

    def _repr_html_(self) -> str:
        rows = "".join(
            f"<tr><th style='text-align:left'>{html.escape(name)}</th>"
            f"<td style='text-align:left'>{html.escape(str(value))}</td></tr>"
            for name, value in [("model", self.settings.model), *summary_rows(self.card, self.objective)]
        )
        fields = ", ".join(f"{html.escape(n)} ({s.kind})" for n, s in self.schema.fields.items())
        return f"<table><caption>fieldwise Predictor</caption>{rows}</table><p><b>Fields:</b> {fields}</p>"


FEW_ROWS = 64
"""Up to so many dicts are quicker encoded one by one than as a table."""


def _few_rows(source: Source) -> Sequence[Mapping[str, Any]] | None:
    """A source that is a few rows of Python values as such; None for any other."""
    pandas = sys.modules.get("pandas")
    if pandas is not None and isinstance(source, pandas.Series):
        return [source.to_dict()]
    if isinstance(source, list | tuple) and 0 < len(source) <= FEW_ROWS:
        return source if all(isinstance(row, Mapping) for row in source) else None
    return None


def _warn_of(report: EncodingReport) -> None:
    silent = Reporter(enabled=False)
    for text in report.mostly_unseen():
        silent.warn(text, UnseenValuesWarning)
    for text in report.reading_lines():
        silent.warn(text, DataWarning)
