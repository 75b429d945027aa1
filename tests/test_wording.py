"""Messages call things as whoever reads them has to write them: arguments in Python, options on the command line."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import fieldwise as fw
from fieldwise.wording import argument, either, for_commands, of_your_own

SOURCE = Path(fw.__file__).parent


@pytest.mark.parametrize(
    ("name", "value", "python", "command"),
    [
        ("overwrite", True, "overwrite=True", "--overwrite"),
        ("label", "COLUMN", 'label="COLUMN"', "--label COLUMN"),
        ("positive", "at home", 'positive="at home"', "--positive 'at home'"),
        ("models", ["lr", "fm"], 'models=["lr", "fm"]', "--models lr,fm"),
        ("fields", {"größe": "ignore"}, 'fields={"größe": "ignore"}', "--field 'größe=ignore'"),
        ("settings", {"epochs": 3}, 'settings={"epochs": 3}', "--set epochs=3"),
        ("directory", "DIR", 'directory="DIR"', "--to DIR"),
    ],
)
def test_an_argument_is_an_option(name: str, value: Any, python: str, command: str) -> None:
    assert argument(name, value) == python
    with for_commands():
        assert argument(name, value) == command
    assert argument(name, value) == python


def test_words_of_their_own() -> None:
    assert either(python="fw.resume()", command="--resume") == "fw.resume()"
    with for_commands():
        assert of_your_own("a model").endswith("fieldwise --import MODULE ...")
    assert of_your_own("a model").endswith("is imported")


def _texts(tree: ast.AST) -> Iterator[ast.Constant]:
    """The text literals of a module that are no docstrings and do not stand in a call of `either`."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
            continue
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "either":
            continue
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node
        yield from _texts(node)


NOT_OURS = {"native/build.py"}
"""Which say options of other programs."""


def test_the_library_names_no_options_but_by_these_functions() -> None:
    modules = [path for path in SOURCE.rglob("*.py") if path.parent.name != "cli" and path.name != "wording.py"]
    found = [
        f"{path.relative_to(SOURCE)}:{text.lineno}: {text.value}"
        for path in modules
        if str(path.relative_to(SOURCE)) not in NOT_OURS
        for text in _texts(ast.parse(path.read_text(encoding="utf-8")))
        if re.search(r"(?<![\w-])--[a-z]|\bon the command line\b", str(text.value))
    ]
    assert found == []
