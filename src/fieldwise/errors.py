"""The errors that the library raises on purpose; every message says what was got, what was expected and what to do."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class FieldwiseError(Exception):
    """Base of all errors that are the caller's to mend; the command line prints them without a traceback."""


class DataError(FieldwiseError):
    """A source cannot be read, or its columns or values are not what the schema needs."""


class ArgumentError(FieldwiseError, TypeError):
    """A function was called with an argument that it does not have."""


class SchemaError(FieldwiseError):
    """A schema contradicts itself or the table it is meant for."""


class SettingsError(FieldwiseError):
    """A setting is unknown, ambiguous or has a wrong value."""


class TrainingError(FieldwiseError):
    """Training cannot go on, for example because the loss is not a number."""


class PredictorFormatError(FieldwiseError):
    """A predictor directory is incomplete, damaged or of an unknown format version."""


def suggest(name: str, known: Iterable[str]) -> str:
    """A closing half-sentence for an unknown name: the nearest known one, or all of them when none is near."""
    names = sorted(known)
    by_lower_case = {known_name.lower(): known_name for known_name in names}
    near = difflib.get_close_matches(name.lower(), by_lower_case, n=1, cutoff=0.6)
    if near:
        return f"did you mean '{by_lower_case[near[0]]}'?"
    return "known: " + ", ".join(names) if names else "none is known"
