"""How messages call things: as arguments for whoever writes Python, as options for whoever types commands.

A message is written once. What it asks for is named by `argument`, or by `either` where the two have different words.
"""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

_OPTIONS = {"fields": "field", "settings": "set", "directory": "to"}
"""The options that are not called as the argument is."""

_for_commands = False


@contextmanager
def for_commands() -> Iterator[None]:
    """Within it, all messages of this process are for the command line, which begins with this."""
    global _for_commands
    before, _for_commands = _for_commands, True
    try:
        yield
    finally:
        _for_commands = before


def either(*, python: str, command: str) -> str:
    """The words for whom the message is for.

    Args:
        python: those of somebody who has called a function.
        command: those of somebody who has typed a command.

    Returns:
        One of the two.

    Example:
        >>> either(python="fieldwise.resume('m')", command="fieldwise train --resume m")
        "fieldwise.resume('m')"
    """
    return command if _for_commands else python


def argument(name: str, value: Any) -> str:
    """An argument with a value, as it is to be given.

    Args:
        name: the argument's in Python.
        value: text, a list of texts or a mapping, such as `fields` and `settings` take; True for a switch.

    Returns:
        Code, or an option.

    Example:
        >>> argument("overwrite", True), argument("label", "COLUMN"), argument("fields", {"user": "ignore"})
        ('overwrite=True', 'label="COLUMN"', 'fields={"user": "ignore"}')
        >>> with for_commands():
        ...     argument("overwrite", True), argument("label", "COLUMN"), argument("fields", {"user": "ignore"})
        ('--overwrite', '--label COLUMN', '--field user=ignore')
    """
    if not _for_commands:
        return f"{name}={value if value is True else json.dumps(value, ensure_ascii=False)}"
    option = f"--{_OPTIONS.get(name, name)}"
    if value is True:
        return option
    if isinstance(value, Mapping):
        return " ".join(f"{option} {shlex.quote(f'{key}={of}')}" for key, of in value.items())
    return f"{option} {shlex.quote(value if isinstance(value, str) else ','.join(value))}"


def of_your_own(what: str) -> str:
    """How something is made known that is neither of this library nor registered yet.

    Args:
        what: it would be, such as `a model`.

    Returns:
        Half a sentence.

    Example:
        >>> of_your_own("a model")
        'a model of your own is known once the module that registers it is imported'
    """
    return either(
        python=f"{what} of your own is known once the module that registers it is imported",
        command=f"{what} of your own is known once its module is named: fieldwise --import MODULE ...",
    )
