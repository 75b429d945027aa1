"""The errors and warnings of the library; every message says what was got, what was expected and what to do.

Each is a `FieldwiseError` and also one of Python's own: a `ValueError` for what is wrong in data, settings or files, a
`TypeError` for a call that is no call of the function, an `OSError` for what the system refuses to write.

A warning tells a Python program what the command line, or a call with `progress=True`, says as a line.
"""

from __future__ import annotations

import difflib
import os
from collections.abc import Iterable


class FieldwiseError(Exception):
    """Base of all errors that are the caller's to mend; the command line prints them without a traceback.

    Example:
        >>> import fieldwise as fw
        >>> try:
        ...     fw.load("nowhere")
        ... except fw.FieldwiseError as error:
        ...     print(error)
        nowhere: there is no such directory
    """


class DataError(FieldwiseError, ValueError):
    """A source cannot be read, or its columns or values are not what the schema needs."""


class SchemaError(FieldwiseError, ValueError):
    """A schema contradicts itself or the table it is meant for."""


class SettingsError(FieldwiseError, ValueError):
    """A setting is unknown, ambiguous or has a wrong value."""


class TrainingError(FieldwiseError, ValueError):
    """Training cannot go on, for example because the loss is not a number."""


class PredictorFormatError(FieldwiseError, ValueError):
    """A predictor directory is incomplete, damaged or of an unknown format version."""


class ArgumentError(FieldwiseError, TypeError):
    """A function was called with an argument that it does not know, or without one that it needs."""


class StorageError(FieldwiseError, OSError):
    """A file or directory cannot be written: the disk is full, access is denied, another process holds it.

    `errno` and `filename` are set as in every OSError, as far as they are known; `str()` is a sentence.

    Args:
        message: the sentence.
        errno: the system's number for what went wrong, such as `errno.ENOSPC`.
        filename: the file or directory that was to be written.
    """

    def __init__(self, message: str, errno: int | None = None, filename: str | None = None) -> None:
        super().__init__(errno, message if errno is None else os.strerror(errno), filename)
        self.message = message

    def __str__(self) -> str:
        return self.message

    def __reduce__(self) -> tuple[object, ...]:
        return type(self), (self.message, self.errno, self.filename)


class FieldwiseWarning(UserWarning):
    """Base of all warnings: something is done, but may not be what was wanted.

    Example:
        >>> import warnings
        >>> import fieldwise as fw
        >>> warnings.filterwarnings("ignore", category=fw.FieldwiseWarning)  # none of them
    """


class DataWarning(FieldwiseWarning):
    """Values were read in a way that a person should look at: doubtful dates, unreadable words, leaks of the label."""


class UnseenValuesWarning(FieldwiseWarning):
    """Most values of a field are none of those of training, as where ids have changed their type or form."""


class TrainingWarning(FieldwiseWarning):
    """Training went in a way that other settings would probably do better in."""


class EvaluationWarning(FieldwiseWarning):
    """Other rows were measured than one might think."""


def suggest(name: str, known: Iterable[str]) -> str:
    """A closing half-sentence for an unknown name: the nearest known one, or all of them when none is near.

    Args:
        name: what was given.
        known: what could have been.

    Returns:
        The half-sentence, to stand behind a semicolon.

    Example:
        >>> suggest("epoch", ["epochs", "seed"]), suggest("x", ["epochs", "seed"])
        ("did you mean 'epochs'?", 'known: epochs, seed')
    """
    names = sorted(known)
    by_lower_case = {known_name.lower(): known_name for known_name in names}
    near = difflib.get_close_matches(name.lower(), by_lower_case, n=1, cutoff=0.6)
    if near:
        return f"did you mean '{by_lower_case[near[0]]}'?"
    return "known: " + ", ".join(names) if names else "none is known"
