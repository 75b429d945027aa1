"""Encoder: from raw columns to ids and scaled numbers. Fitted once, on training rows; travels with the model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from itertools import pairwise
from typing import Annotated, Any, Literal

import numpy as np
import pyarrow as pa
from pydantic import BaseModel, ConfigDict, Field, field_validator

from fieldwise.columns.access import get_column, naming, require_column
from fieldwise.columns.counting import TableProfile
from fieldwise.columns.dates import ISO, DateReading
from fieldwise.columns.profile import ColumnProfile
from fieldwise.encoding.combinations import CELLS_SCHEMA, Combinations, CombinationsState
from fieldwise.encoding.encoded import EncodedRows, EncodingReport, Ragged
from fieldwise.encoding.fields import (
    BucketEncoding,
    CategoricalEncoding,
    FieldEncoding,
    MultiValuedEncoding,
    NumericEncoding,
    fit_field,
)
from fieldwise.encoding.scaling import Scaling
from fieldwise.encoding.vocabulary import Vocabulary
from fieldwise.encoding.vocabulary_table import read_vocabulary_table, vocabulary_table
from fieldwise.errors import DataError, PredictorFormatError, suggest
from fieldwise.layout import FieldLayout, Layout
from fieldwise.schema import Categorical, MultiValued, Numeric, Schema


class _VocabularyState(BaseModel):
    model_config = ConfigDict(extra="forbid")
    encoding: Literal["vocabulary"] = "vocabulary"
    dates: DateReading | None = None


class _ScalingState(BaseModel):
    model_config = ConfigDict(extra="forbid")
    encoding: Literal["scaling"] = "scaling"
    scaling: Scaling
    range: tuple[float, float] | None = None


class _BucketState(BaseModel):
    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)
    encoding: Literal["buckets"] = "buckets"
    bounds: list[float]
    range: tuple[float, float] | None = None

    @field_validator("bounds")
    @classmethod
    def _require_increasing(cls, bounds: list[float]) -> list[float]:
        if any(low >= high for low, high in pairwise(bounds)):
            raise ValueError("the bounds between buckets must increase")
        return bounds


class EncoderState(BaseModel):
    """The JSON part of a saved encoder; vocabularies and cells of combinations are its Arrow parts.

    Attributes:
        fields: in schema order.
        combinations: None where there are no statistics.
    """

    model_config = ConfigDict(extra="forbid")
    combinations: CombinationsState | None = None
    fields: list[Annotated[_VocabularyState | _ScalingState | _BucketState, Field(discriminator="encoding")]]


class Encoder:
    """Turns tables, or single dicts of Python values, into `EncodedRows` by what `fit` has learned.

    A table and the dicts of its rows give the same ids and numbers.

    Args:
        schema: the fields.
        encodings: one per field, in schema order.
        combinations: what was counted of combinations of fields, where their statistics are used.

    Example:
        >>> table = pa.table({"user": ["ann", "bob", "ann"], "price": [1.0, 2.0, 3.0]})
        >>> encoder = Encoder.fit(table, Schema(label="click", fields={"user": "categorical", "price": "numeric"}))
        >>> rows = encoder.encode_rows([{"user": "bob", "price": 2.0}, {"user": "zoe", "price": None}])
        >>> rows.categorical.tolist(), rows.numeric.tolist(), rows.report.unseen
        ([[3], [1]], [[0.0], [nan]], {'user': 1})
    """

    def __init__(
        self, schema: Schema, encodings: Sequence[FieldEncoding], combinations: Combinations | None = None
    ) -> None:
        self.schema = schema
        self.encodings = tuple(encodings)
        self.combinations = combinations

    def with_combinations(self, combinations: Combinations) -> Encoder:
        """The same encoder that gives statistics too.

        Args:
            combinations: of this encoder's fields.

        Returns:
            A new encoder.
        """
        return Encoder(self.schema, self.encodings, combinations)

    @classmethod
    def fit(cls, table: pa.Table, schema: Schema, *, min_count: int = 1) -> Encoder:
        """Learn vocabularies and scalings from a table of training rows.

        Args:
            table: the training rows.
            schema: the fields.
            min_count: tokens seen less often share one id per field, unless the field has its own `min_count`.

        Returns:
            The encoder.

        Raises:
            DataError: a column is missing or not of the field's kind; the message names it.
        """
        return cls.from_profiles(TableProfile(table), schema, min_count=min_count)

    @classmethod
    def from_profiles(
        cls, profiles: Mapping[str, ColumnProfile], schema: Schema, *, part: str | None = None, min_count: int = 1
    ) -> Encoder:
        """Learn vocabularies and scalings from the profiles of columns, whoever has counted them.

        Args:
            profiles: by column name; of columns that no field reads, none is needed.
            schema: the fields.
            part: learn from this part of the rows alone; None: from all.
            min_count: tokens seen less often share one id per field, unless the field has its own `min_count`.

        Returns:
            The encoder.

        Raises:
            DataError: a column is missing or not of the field's kind; the message names it.
        """
        encodings = []
        for name, spec in schema.fields.items():
            column = schema.column_of(name)
            require_column(profiles, column)
            with naming(column):
                encodings.append(fit_field(name, spec, profiles[column].only(part), min_count=min_count))
        return cls(schema, encodings)

    @cached_property
    def layout(self) -> Layout:
        """The fields as models see them."""
        statistics = () if self.combinations is None else self.combinations.names
        return Layout(tuple(FieldLayout(e.name, e.kind, e.size) for e in self.encodings), statistics)

    def encode(self, table: pa.Table) -> EncodedRows:
        """Encode all rows of a table. Columns that no field reads are left alone.

        Args:
            table: raw rows.

        Returns:
            Their ids and numbers.

        Raises:
            DataError: a column is missing or a value is of the wrong kind; the message names the column (and the row).
        """
        report = EncodingReport(rows=table.num_rows)
        categorical = np.empty((table.num_rows, len(self.layout.categorical)), dtype=np.int32)
        numeric = np.empty((table.num_rows, len(self.layout.numeric)), dtype=np.float32)
        multi_valued: list[Ragged] = []
        c = m = 0
        for encoding in self.encodings:
            name = self.schema.column_of(encoding.name)
            column = get_column(table, name)
            with naming(name):
                if isinstance(encoding, MultiValuedEncoding):
                    multi_valued.append(encoding.encode(column, report))
                elif isinstance(encoding, NumericEncoding):
                    numeric[:, m] = encoding.encode(column, report)
                    m += 1
                else:
                    categorical[:, c] = encoding.encode(column, report)
                    c += 1
        return self._with_statistics(EncodedRows(categorical, numeric, tuple(multi_valued), report))

    def encode_rows(self, rows: Sequence[Mapping[str, Any]]) -> EncodedRows:
        """Encode dicts of Python values: the quick way for a few rows, of which nothing is vectorised.

        Args:
            rows: column name to value; None stands for missing.

        Returns:
            Their ids and numbers.

        Raises:
            DataError: as `encode` does.
        """
        report = EncodingReport(rows=len(rows))
        categorical = np.empty((len(rows), len(self.layout.categorical)), dtype=np.int32)
        numeric = np.empty((len(rows), len(self.layout.numeric)), dtype=np.float32)
        lists: list[list[list[int]]] = []
        c = m = 0
        for encoding in self.encodings:
            name = self.schema.column_of(encoding.name)
            values = [_value(row, name, i) for i, row in enumerate(rows)]
            with naming(name):
                if isinstance(encoding, MultiValuedEncoding):
                    lists.append([encoding.encode_value(value, report) for value in values])
                elif isinstance(encoding, NumericEncoding):
                    numeric[:, m] = [encoding.encode_value(value, report) for value in values]
                    m += 1
                else:
                    categorical[:, c] = [encoding.encode_value(value, report) for value in values]
                    c += 1
        ragged = tuple(Ragged.from_lists(ids) for ids in lists)
        return self._with_statistics(EncodedRows(categorical, numeric, ragged, report))

    def _with_statistics(self, rows: EncodedRows) -> EncodedRows:
        return rows if self.combinations is None else replace(rows, statistics=self.combinations.encode(rows))

    def state(self) -> tuple[EncoderState, pa.Table, pa.Table]:
        """What a saved encoder consists of: the JSON part, the table of all vocabularies, and that of the cells."""
        fields: list[_VocabularyState | _ScalingState | _BucketState] = []
        vocabularies: list[Vocabulary | None] = []
        for encoding in self.encodings:
            vocabulary = None
            if isinstance(encoding, NumericEncoding):
                fields.append(_ScalingState(scaling=encoding.scaling, range=encoding.range))
            elif isinstance(encoding, BucketEncoding):
                fields.append(_BucketState(bounds=encoding.bounds.tolist(), range=encoding.range))
            else:
                dates = encoding.dates if isinstance(encoding, CategoricalEncoding) and encoding.part else None
                fields.append(_VocabularyState(dates=dates))
                vocabulary = encoding.vocabulary
            vocabularies.append(vocabulary)
        combinations = None if self.combinations is None else self.combinations.state()
        cells = CELLS_SCHEMA.empty_table() if self.combinations is None else self.combinations.cells
        return EncoderState(fields=fields, combinations=combinations), vocabulary_table(vocabularies), cells

    @classmethod
    def from_state(
        cls, schema: Schema, state: EncoderState, vocabularies: pa.Table, cells: pa.Table | None = None
    ) -> Encoder:
        """Rebuild an encoder from what `state` gave.

        Args:
            schema: the fields.
            state: the JSON part.
            vocabularies: the tokens of all fields.
            cells: of combinations; None: there are none.

        Returns:
            The encoder.

        Raises:
            PredictorFormatError: the parts do not fit together.
        """
        if len(state.fields) != len(schema.fields):
            raise PredictorFormatError(f"the encoder holds {len(state.fields)} fields, the schema {len(schema.fields)}")
        parts = read_vocabulary_table(vocabularies, list(schema.fields))
        encodings: list[FieldEncoding] = []
        for (name, spec), saved, vocabulary in zip(schema.fields.items(), state.fields, parts, strict=True):
            if len(vocabulary.tokens) and not isinstance(saved, _VocabularyState):
                raise PredictorFormatError(
                    f"field '{name}' has no vocabulary, but the vocabulary file has tokens of it"
                )
            match spec, saved:
                case Categorical(part=part), _VocabularyState(dates=dates):
                    encodings.append(CategoricalEncoding(name, vocabulary, part, dates or ISO))
                case MultiValued(separator=separator), _VocabularyState():
                    encodings.append(MultiValuedEncoding(name, vocabulary, separator))
                case Numeric(buckets=int(most)), _BucketState(bounds=bounds, range=known):
                    if len(bounds) >= most:
                        raise PredictorFormatError(
                            f"field '{name}' has {len(bounds) + 1} buckets, at most {most} expected"
                        )
                    encodings.append(BucketEncoding(name, np.array(bounds), spec.reading, known))
                case Numeric(buckets=None, transform=transform), _ScalingState(scaling=scaling, range=known):
                    if scaling.name != transform:
                        raise PredictorFormatError(f"field '{name}' is scaled by {scaling.name}, {transform} expected")
                    encodings.append(NumericEncoding(name, scaling, spec.reading, known))
                case _:
                    raise PredictorFormatError(
                        f"field '{name}' is {spec.kind} in the schema, but {saved.encoding} in the encoder"
                    )
        encoder = cls(schema, encodings)
        if state.combinations is None:
            if cells is not None and cells.num_rows:
                raise PredictorFormatError("the encoder has no combinations, but there are cells of some")
            return encoder
        cells = CELLS_SCHEMA.empty_table() if cells is None else cells
        return encoder.with_combinations(Combinations.from_state(encoder.layout, state.combinations, cells))


def _value(row: Mapping[str, Any], name: str, i: int) -> Any:
    try:
        return row[name]
    except KeyError:
        raise DataError(f"row {i + 1} has no '{name}'; give None for a missing value ({suggest(name, row)})") from None
