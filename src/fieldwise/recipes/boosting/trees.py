"""Gradient-boosted trees: LightGBM and CatBoost, each fed raw columns in its own best way.

                      LightGBM                                     CatBoost
    numeric           as it is, NaN where missing                  the same (in float32)
    categorical       codes, split into two sets of tokens         tokens; running statistics of the label per token
                                                                   and per combination of tokens
    missing token     a token of its own                           a token of its own
    unseen token      the side of a split that lists no tokens     the prior: a token that no row was seen with
    multi-valued      the set of tokens as one token; a column for each of the 64 most frequent ones; their number
    statistics        of combinations of fields, where they are asked for: numbers

What many tokens do: LightGBM gives bins to a column's most frequent tokens, out of a sample of the rows, until they
cover 99 % of it (and at least `max_bin` of them), but to none that fewer than three of these rows hold; all others are
one. A split puts at most `max_cat_threshold` of them aside. CatBoost keeps a figure for every token, and for every
combination of tokens that a tree has used, which costs memory and time, and most where fields like a user's id meet.

The number of rounds is settled by the objective's loss on the validation rows (`losses`): training ends when it has
not fallen for `early_stopping_rounds`, and the best round is kept. Without validation rows `fixed_rounds` are trained.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import torch
from pydantic import BaseModel, ConfigDict, Field

from fieldwise.data.labels import read_weight
from fieldwise.encoding.encoded import EncodingReport
from fieldwise.encoding.encoder import Encoder
from fieldwise.errors import DataError, PredictorFormatError, SettingsError
from fieldwise.objectives import Objective
from fieldwise.preparation import Prepared
from fieldwise.recipes.boosting.catboost_trees import CatBoostTrees
from fieldwise.recipes.boosting.library import LabelledRows, LibraryTrees, imported
from fieldwise.recipes.boosting.lightgbm_trees import LightGBMTrees
from fieldwise.recipes.boosting.losses import loss_of
from fieldwise.recipes.boosting.raw_columns import RawColumns, RawColumnsState
from fieldwise.recipes.fitted import FittedModel, Predictions, TrainingResult
from fieldwise.reporting import Progress, Reporter
from fieldwise.schema import Schema
from fieldwise.settings import Settings
from fieldwise.settings.trees import CatBoostSettings, LightGBMSettings, resolve, settings_model, validated
from fieldwise.training.evaluation import ONE_THREAD_ROWS
from fieldwise.training.history import History
from fieldwise.training.signals import StopRequest, stopping_between_steps

_PREDICTED_ROWS = 65_536
"""Rows that a library is given at a time, for their numbers side by side need much more memory than the columns."""


class TreesState(BaseModel):
    """The JSON half of saved trees. What it says of the trees themselves must be true of them.

    Attributes:
        name: one of `NAMES`.
        settings: all of them.
        rounds: trees that are kept.
        parameters: the numbers in them.
        columns: the JSON half of what reads the schema's columns.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    name: Literal["catboost", "lightgbm"]
    settings: dict[str, Any]
    rounds: int = Field(ge=0)
    parameters: int = Field(ge=0)
    columns: RawColumnsState


@dataclass(frozen=True, eq=False)
class FittedTrees(FittedModel):
    """Trained trees with what reads rows for them.

    Attributes:
        name: one of `NAMES`.
        settings: all of them.
        objective: what the labels were and predictions are.
        columns: what reads the schema's columns.
        trees: the library's.
        threads: that predict; None takes as many as torch does.
        encoder: what gives statistics of combinations; None where none are used.
    """

    name: str
    settings: dict[str, Any]
    objective: Objective
    columns: RawColumns
    trees: LibraryTrees
    threads: int | None = None
    encoder: Encoder | None = None

    @property
    def schema(self) -> Schema:  # type: ignore[override]
        """The fields and the columns with a role."""
        return self.columns.schema

    @property
    def rounds(self) -> int:
        """Trees that are kept, up to the best round on the validation rows."""
        return self.trees.rounds

    @property
    def parameters(self) -> dict[str, int]:
        """`all`: the numbers in the trees, as `LibraryTrees` counts them."""
        return {"all": self.trees.parameters}

    def predict(
        self, table: pa.Table, *, report: EncodingReport | None = None, progress: Progress | None = None
    ) -> Predictions:
        """The prediction of every row: float64 [N]."""
        rows = self.columns.rows(table, report)
        if self.encoder is not None:
            rows = replace(rows, statistics=self.encoder.encode(table).statistics)
        threads = 1 if len(rows) <= ONE_THREAD_ROWS else self.threads or torch.get_num_threads()
        predictions = np.empty(len(rows))
        for start in range(0, len(rows), _PREDICTED_ROWS):
            piece = rows.slice(start, start + _PREDICTED_ROWS)
            sums = self.trees.predict(piece, threads=threads)
            predictions[start : start + len(piece)] = self.objective.prediction(sums)
            if progress is not None:
                progress.update(len(piece))
        return predictions

    def state(self) -> tuple[TreesState, pa.Table, bytes]:
        """What saved trees consist of: the JSON half, the table of all vocabularies, and the library's own file."""
        columns, vocabularies = self.columns.state()
        state = TreesState.model_validate(
            {
                "name": self.name,
                "settings": self.settings,
                "rounds": self.rounds,
                "parameters": self.trees.parameters,
                "columns": columns,
            }
        )
        return state, vocabularies, self.trees.to_bytes()

    @classmethod
    def from_state(
        cls,
        schema: Schema,
        objective: Objective,
        state: TreesState,
        vocabularies: pa.Table,
        trees: bytes | bytearray,
        encoder: Encoder | None = None,
    ) -> FittedTrees:
        """Rebuild trees from what `state` gave; they predict the same to the last bit.

        Args:
            schema: the fields and the columns with a role.
            objective: what they were trained for.
            state: the JSON half.
            vocabularies: the Arrow half.
            trees: the library's own file.
            encoder: what gives statistics of combinations, where they were trained with them.

        Returns:
            The trees.

        Raises:
            PredictorFormatError: the parts do not fit together, or the library cannot read its file.
            SettingsError: the library is not installed.
        """
        imported(state.name)
        columns = RawColumns.from_state(schema, state.columns, vocabularies)
        try:
            settings = resolve(state.name, state.settings)
            loss = loss_of(objective, state.name)
        except SettingsError as error:
            raise PredictorFormatError(str(error)) from error
        read: LibraryTrees
        num_columns = columns.num_columns + (0 if encoder is None else len(encoder.layout.statistics))
        if state.name == "lightgbm":
            read = LightGBMTrees.from_bytes(bytes(trees), loss, num_columns=num_columns)
        else:
            read = CatBoostTrees.from_bytes(bytes(trees), loss, columns.tokens(), num_columns=num_columns)
        for what, recorded, counted in (
            ("rounds", state.rounds, read.rounds),
            ("parameters", state.parameters, read.parameters),
        ):
            if recorded != counted:
                raise PredictorFormatError(f"the trees have {counted:,} {what}, {recorded:,} expected")
        return cls(state.name, settings, objective, columns, read, encoder=encoder)


@dataclass(frozen=True, eq=False)
class Statistics:
    """Statistics of combinations for trees.

    Attributes:
        encoder: gives those of new rows.
        train: of the training rows, float16 [N, statistics].
        valid: of the validation rows.
    """

    encoder: Encoder
    train: npt.NDArray[np.float16] | None
    valid: npt.NDArray[np.float16] | None

    @classmethod
    def of(cls, prepared: Prepared) -> Statistics | None:
        """Those of prepared rows; None where they have none."""
        if prepared.encoder.combinations is None:
            return None
        return cls(prepared.encoder, *(prepared.parts[part].rows.statistics for part in ("train", "valid")))


def require(name: str) -> None:
    """Refuse a model that cannot be trained here.

    Args:
        name: of the model.

    Raises:
        SettingsError: it is none of `NAMES`, or its library is not installed.
    """
    settings_model(name)
    imported(name)


def train(prepared: Prepared, settings: Settings, *, reporter: Reporter, threads: int | None = None) -> TrainingResult:
    """Train trees on the raw rows of prepared parts.

    Args:
        prepared: rows by part. The rounds are settled on `valid`, and `valid` and `test` are measured at the end.
        settings: `model` is one of `NAMES`, and `model_settings` are its settings.
        reporter: is told what happens.
        threads: of the library; None takes as many as torch does.

    Returns:
        The trees up to the best round, with an empty history. After Ctrl-C in training it is the best round so far,
        and `history.ended` is `interrupted`.

    Raises:
        SettingsError: as `fit` does.
        DataError: as `fit` does.
        TrainingError: as `fit` does.
    """
    name = settings.model
    resolved = validated(name, settings.model_settings)
    train_rows, valid_rows = prepared.raw("train"), prepared.raw("valid")
    notes = []
    if not valid_rows.num_rows:
        notes.append(f"{name}: no validation rows to stop by, so {resolved.fixed_rounds} rounds are trained")
        reporter.say(notes[-1])
    begin = time.perf_counter()
    with stopping_between_steps() as request:
        model = fit(
            name,
            train_rows,
            valid_rows,
            prepared.schema,
            objective=prepared.objective,
            settings=resolved.model_dump(),
            seed=settings.seed,
            threads=threads,
            request=request,
            statistics=Statistics.of(prepared),
        )
    seconds = time.perf_counter() - begin
    if request.wanted:
        reporter.say("interrupted: the best round so far is kept")
    reporter.say(f"{name}: {model.rounds:,} rounds, {model.parameters['all']:,} numbers in the trees, {seconds:,.1f} s")
    metrics = {}
    for part in ("valid", "test"):
        rows = prepared.raw(part)
        if rows.num_rows:
            metrics[part] = model.evaluate(rows)
    return TrainingResult(
        model=model,
        settings=settings.model_copy(update={"model_settings": model.settings}),
        history=History(ended="interrupted" if request.wanted else ""),
        metrics=metrics,
        epochs=model.rounds,
        best_epoch=model.rounds,
        seconds=seconds,
        rows_per_s=train_rows.num_rows * model.rounds / seconds,
        notes=notes,
    )


def fit(
    name: str,
    train: pa.Table,
    valid: pa.Table,
    schema: Schema,
    *,
    objective: Objective,
    settings: Mapping[str, Any] | None = None,
    seed: int = 0,
    threads: int | None = None,
    request: StopRequest | None = None,
    statistics: Statistics | None = None,
) -> FittedTrees:
    """Train one of `NAMES` on raw columns.

    Args:
        name: the model.
        train: training rows as they were read; only the columns that `schema` names are looked at.
        valid: validation rows; without any, `fixed_rounds` are trained.
        schema: the fields and the columns with a role.
        objective: what the label is.
        settings: single settings by name.
        seed: decides all that is random; the same seed and `threads` give the same trees.
        threads: of the library, to train and to predict; None takes as many as torch does.
        request: ends training after the round under way; the best one so far is kept.
        statistics: of combinations of fields, for these rows.

    Returns:
        The trees up to the best round.

    Raises:
        SettingsError: an unknown name or setting, a wrong value, an objective that trees do not know, or the library
            is not installed.
        DataError: columns or labels cannot be used.
        TrainingError: the library gives up.
    """
    resolved = validated(name, settings)
    loss = loss_of(objective, name)
    imported(name)
    columns = RawColumns.fit(train, schema)
    label = objective.read_label(train, schema)
    if not len(label):
        raise DataError("there are no training rows")
    try:
        objective.require_variety(label)
    except DataError as error:
        raise DataError(f"training rows: {error}") from error
    given = (None, None) if statistics is None else (statistics.train, statistics.valid)
    learned, watched = (
        LabelledRows(
            replace(columns.rows(table), statistics=numbers), objective.target(labels), read_weight(table, schema)
        )
        for table, labels, numbers in zip(
            (train, valid), (label, objective.read_label(valid, schema)), given, strict=True
        )
    )
    seed %= 2**31  # beyond it LightGBM reads another number
    used = threads or torch.get_num_threads()
    request = request or StopRequest()
    trees: LibraryTrees
    match resolved:
        case LightGBMSettings():
            trees = LightGBMTrees.train(resolved, loss, learned, watched, seed=seed, threads=used, request=request)
        case CatBoostSettings():
            trees = CatBoostTrees.train(
                resolved, loss, learned, watched, columns.tokens(), seed=seed, threads=used, request=request
            )
        case _:
            raise AssertionError(name)
    encoder = None if statistics is None else statistics.encoder
    return FittedTrees(name, resolved.model_dump(), objective, columns, trees, threads, encoder)
