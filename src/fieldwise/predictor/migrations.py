"""Predictors of older format versions: what turns their documents, step by step, into those of the present one."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from fieldwise.errors import PredictorFormatError

Documents = dict[str, Any]
"""The JSON files as read, before validation: file name -> content."""

FORMAT_VERSION = 7
"""To be raised, with an entry in `MIGRATIONS`, whenever a file comes to hold something that older code refuses."""


def migrate(documents: Documents, version: int) -> None:
    """Turn documents of a format version, in place, into those of the present one.

    Args:
        documents: file name -> content.
        version: theirs.

    Raises:
        PredictorFormatError: a document holds what its version did not know.
    """
    for step in range(version, FORMAT_VERSION):
        MIGRATIONS[step](documents)


def _from_1(documents: Documents) -> None:
    """Version 1 did not record the environment."""
    _add(documents["card.json"], "environment", {"device": None, "threads": None})


def _from_2(documents: Documents) -> None:
    """Version 2 knew one way to carry out a step: the reference."""
    training = documents["settings.json"].get("training")
    if isinstance(training, dict):  # else it is refused in its turn
        reference = {"precision": "float32", "embedding_optimizer": "adam", "allocator": "system"}
        for name, value in {**reference, "micro_batch": training.get("batch_size")}.items():
            _add(training, name, value)


def _from_3(documents: Documents) -> None:
    """Version 3 knew no kernels but torch's."""
    training = documents["settings.json"].get("training")
    if isinstance(training, dict):
        _add(training, "kernels", "torch")


def _from_4(documents: Documents) -> None:
    """Version 4 knew no model that searches."""
    _add(documents["settings.json"], "search", None)


def _from_5(documents: Documents) -> None:
    """Version 5 knew no labels but clicks, and recorded their metrics by fixed names."""
    _add(documents, "objective.json", {"name": "binary"})
    _add(documents["settings.json"], "objective", "binary")
    card = documents["card.json"]
    if isinstance(data := card.get("data"), dict) and "base_rate" in data:
        _add(data, "mean_label", data.pop("base_rate"))
    history = card.get("history")
    records = history.get("records") if isinstance(history, dict) else None
    for record in records if isinstance(records, list) else []:
        if isinstance(record, dict) and "valid_log_loss" in record and "valid_auc" in record:
            valid = {"log_loss": record.pop("valid_log_loss"), "auc": record.pop("valid_auc")}
            _add(record, "valid", {} if valid["log_loss"] is None else valid)


def _from_6(documents: Documents) -> None:
    """Version 6 knew no statistics of combinations."""
    data = documents["settings.json"].get("data")
    if isinstance(data, dict):
        _add(data, "combinations", "off")
    if "encoder.json" in documents:  # boosted trees have none
        _add(documents["encoder.json"], "combinations", None)


def _add(document: dict[str, Any], key: str, value: Any) -> None:
    # What is there already would be lost without a word where only the manifest's version number is damaged.
    if key in document:
        raise PredictorFormatError(f"'{key}' did not exist in the format version that the manifest names")
    document[key] = value


MIGRATIONS: dict[int, Callable[[Documents], None]] = {
    1: _from_1,
    2: _from_2,
    3: _from_3,
    4: _from_4,
    5: _from_5,
    6: _from_6,
}
"""Format version -> what turns the documents of that version, in place, into those of the next one."""
