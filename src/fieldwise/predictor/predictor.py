"""Predictor: schema, encoder and model in one object, and one directory on disk that needs nothing else.

manifest.json        format version, and the size and SHA-256 of every other file
schema.json          the fields and roles
encoder.json         scalings and buckets
vocabularies.arrow   every token with its count, in id order
settings.json        the model's name and all settings of the run
weights.safetensors  the model's tensors
card.json            what was decided, the training history, figures, versions
architecture.json    of a model that was built from one: a copy, which is not read back
"""

from __future__ import annotations

import html
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from fieldwise.architecture import Architecture
from fieldwise.columns.dates import time_keys
from fieldwise.columns.tables import Source, iter_tables, read_table
from fieldwise.data.dataset import Dataset
from fieldwise.data.labels import read_label
from fieldwise.data.splits import split_rows
from fieldwise.encoding.encoded import EncodedRows, EncodingReport
from fieldwise.encoding.encoder import Encoder
from fieldwise.errors import DataError
from fieldwise.metrics import Metrics
from fieldwise.models.base import CTRModel
from fieldwise.objectives import Binary, Objective
from fieldwise.predictor.files import read_predictor, write_predictor
from fieldwise.predictor.model_card import ModelCard, summary_rows
from fieldwise.preparation.records import fingerprint, rows_fingerprint
from fieldwise.reporting import Reporter
from fieldwise.schema import Schema
from fieldwise.settings import Settings
from fieldwise.training.evaluation import evaluate_model, predict_logits
from fieldwise.training.history import History

Probabilities = npt.NDArray[np.float64]


class Predictor:
    """Predicts click probabilities of raw rows.

    report: the account of the last `predict` or `evaluate`: per field, values outside the vocabulary (they are
        predicted with the field's out-of-vocabulary id), missing values and infinities.
    """

    def __init__(self, encoder: Encoder, model: CTRModel, settings: Settings, card: ModelCard) -> None:
        self.encoder = encoder
        self.model = model.eval()
        self.settings = settings
        self.card = card
        self.objective: Objective = Binary()
        self.report = EncodingReport()

    @property
    def schema(self) -> Schema:
        """The fields and roles of the columns."""
        return self.encoder.schema

    @property
    def history(self) -> History:
        """The training history."""
        return self.card.history

    @property
    def architecture(self) -> Architecture | None:
        """The interactions that the model was built from; None for a model that was not."""
        document = self.settings.model_settings.get("architecture")
        return None if document is None else Architecture.model_validate(document)

    def predict(self, source: Source, *, names: Sequence[str] | None = None) -> Probabilities:
        """The click probability of every row: float64 [N], in the order of the source.

        source: a path, a data frame, an Arrow table, a dict of columns or a list of dicts; columns that no field
        reads are left alone. names: as in `fieldwise.train`.
        Raises DataError, naming the column, where one is missing or holds a value of the wrong kind.
        """
        parts = [p for _, p in self.predict_tables(source, names=names)]
        return np.concatenate(parts) if parts else np.empty(0)

    def predict_tables(
        self, source: Source, *, names: Sequence[str] | None = None, reporter: Reporter | None = None
    ) -> Iterator[tuple[pa.Table, Probabilities]]:
        """Read a source piece by piece and give each piece with its predictions; memory stays bounded."""
        self.report = EncodingReport()
        with (reporter or Reporter(enabled=False)).rows(None, "predicting") as progress:
            for table in iter_tables(source, names=names):
                rows = self.encoder.encode(table)
                self.report.add(rows.report)
                yield table, self._predict_encoded(rows)
                progress.update(table.num_rows)

    def predict_rows(self, rows: Sequence[Mapping[str, Any]]) -> Probabilities:
        """The click probability of a few rows given as dicts of Python values: float64 [N], by the quickest way."""
        encoded = self.encoder.encode_rows(rows)
        self.report = encoded.report
        return self._predict_encoded(encoded)

    def evaluate(
        self, source: Source, *, names: Sequence[str] | None = None, reporter: Reporter | None = None
    ) -> Metrics:
        """AUC, log loss and the other metrics over the rows of a source that has the label.

        A table that the predictor was trained on is recognised, and only its recorded test rows are used.
        A built-in data set, given by name, is loaded and treated likewise.
        Raises DataError as `predict` does, and where the label is missing or is not 0/1.
        """
        from fieldwise import datasets

        reporter = reporter or Reporter(enabled=False)
        own_split = None
        if datasets.is_built_in(source):
            named = datasets.load_dataset(source)
            table, own_split = named.table, named.split
        else:
            table = read_table(source, names=names)
        label = read_label(table, self.schema)
        data = self.card.data
        if fingerprint(table.column_names, label) == data.fingerprint and data.split.test_rows:
            test = own_split.test if own_split is not None else self._test_rows(table, label)
            if test is not None and rows_fingerprint(test) == data.split.test_fingerprint:
                reporter.say(
                    f"this is the table that the model was trained on: evaluating its {len(test):,} test rows only"
                )
                table = table.take(pa.array(test))
        dataset = Dataset.from_table(table, self.encoder)
        self.report = dataset.rows.report
        with reporter.rows(len(dataset), "evaluating") as progress:
            return evaluate_model(self.model, dataset, self.objective, progress=progress)

    def save(self, path: str | Path, *, overwrite: bool = False) -> Path:
        """Write the predictor as a directory, all or nothing.

        Raises PredictorFormatError where something is there already, unless `overwrite` replaces it.
        """
        return write_predictor(Path(path), self.encoder, self.model, self.settings, self.card, overwrite=overwrite)

    @classmethod
    def load(cls, path: str | Path) -> Predictor:
        """Read a directory written by `save`. Raises PredictorFormatError where it is not a whole predictor."""
        return cls(*read_predictor(Path(path)))

    def _predict_encoded(self, rows: EncodedRows) -> Probabilities:
        dataset = Dataset(self.encoder.layout, rows)
        return self.objective.prediction(predict_logits(self.model, dataset))

    def _test_rows(self, table: pa.Table, label: npt.NDArray[np.float32]) -> npt.NDArray[np.int64] | None:
        """The recorded test rows of the table that the predictor was trained on."""
        split = self.card.data.split
        if split.method is None:
            return None
        time = None
        if split.method == "time":
            if self.schema.time not in table.column_names:
                raise DataError(f"the time column '{self.schema.time}' is missing")
            time = time_keys(table.column(self.schema.time))
        return split_rows(
            table.num_rows,
            method=split.method,
            valid_fraction=split.valid_fraction,
            test_fraction=split.test_fraction,
            seed=split.seed,
            label=label,
            time=time,
        ).test

    def __repr__(self) -> str:
        lines = [f"Predictor: {self.settings.model} on {len(self.schema.fields)} fields"]
        lines += [f"  {name:<11} {value}" for name, value in summary_rows(self.card)]
        return "\n".join(lines)

    def _repr_html_(self) -> str:
        rows = "".join(
            f"<tr><th style='text-align:left'>{html.escape(name)}</th>"
            f"<td style='text-align:left'>{html.escape(str(value))}</td></tr>"
            for name, value in [("model", self.settings.model), *summary_rows(self.card)]
        )
        fields = ", ".join(f"{html.escape(n)} ({s.kind})" for n, s in self.schema.fields.items())
        return f"<table><caption>fieldwise Predictor</caption>{rows}</table><p><b>Fields:</b> {fields}</p>"
