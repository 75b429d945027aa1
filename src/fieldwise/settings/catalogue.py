"""What may be set: every setting with its meaning, default and possible values.

Nothing is written down here. The meaning is what the docstring of the class says that has the setting, or the
`description` of its pydantic `Field`; default and values are those of the class.
"""

from __future__ import annotations

import inspect
import re
import types
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from fieldwise import layers
from fieldwise.models import registry
from fieldwise.objectives import OBJECTIVES
from fieldwise.settings import trees
from fieldwise.settings.documents import DataSettings, SearchSettings, Settings, TrainingSettings
from fieldwise.settings.resolve import require_model


@dataclass(frozen=True)
class Setting:
    """A setting as `--set`, a settings file and `settings={...}` know it.

    Attributes:
        section: `run` of those that belong to no section of a file, else `data`, `training`, `model` or `search`.
        name: dotted, as it may be typed.
        meaning: a sentence or more; empty where a model of the user's own says nothing.
        default: ready for JSON.
        values: what it may be, in words.
        choices: all its values, where they can be counted.
    """

    section: str
    name: str
    meaning: str
    default: Any
    values: str
    choices: tuple[Any, ...] = ()


def describe_settings(model: str = "autoint") -> list[Setting]:
    """Every setting of a run with this model, by section.

    Args:
        model: a registered model, or `lightgbm` or `catboost`, which have no section `training`. The section `search`
            belongs to models that search for interactions.

    Returns:
        The settings, in the order of their classes.

    Raises:
        SettingsError: there is no such model.

    Example:
        >>> settings = {setting.name: setting for setting in describe_settings("lr")}
        >>> settings["training.epochs"].default, settings["training.epochs"].values
        (20, 'whole number >= 1')
        >>> settings["model.missing"].choices
        ('learned', 'zero')
    """
    require_model(model)
    is_trees = model in trees.NAMES
    search = None if is_trees else registry.search_defaults(model)
    own = trees.settings_model(model) if is_trees else registry.settings_model(model)
    found = [
        *_described("run", Settings, only=("seed", "objective"), choices={"objective": tuple(OBJECTIVES)}),
        *_described("data", DataSettings),
        *([] if is_trees else _described("training", TrainingSettings)),
    ]
    if not is_trees:
        found += _described("model", Settings, only=("preset",), choices={"preset": tuple(registry.presets(model))})
    found += _described("model", own, meanings=_meanings(own if is_trees else registry.model_class(model)))
    return found + ([] if search is None else _described("search", SearchSettings, defaults=search))


def _described(
    section: str,
    document: type[BaseModel],
    *,
    only: Iterable[str] | None = None,
    meanings: Mapping[str, str] | None = None,
    defaults: Mapping[str, Any] | None = None,
    choices: Mapping[str, tuple[str, ...]] | None = None,
) -> list[Setting]:
    """The settings of a class.

    only: some of them. meanings: of the class, if not its docstring's. defaults, choices: those that it does not tell.
    """
    meanings = _meanings(document) if meanings is None else meanings
    found = []
    for name, field in document.model_fields.items():
        if only is not None and name not in only:
            continue
        default = (defaults or {}).get(name, field.get_default(call_default_factory=True))
        found.append(
            Setting(
                section=section,
                name=name if section == "run" else f"{section}.{name}",
                meaning=field.description or meanings.get(name, ""),
                default=list(default) if isinstance(default, tuple) else default,
                **_values(field, (choices or {}).get(name)),
            )
        )
    return found


# ---- what a docstring says

_SECTION = re.compile(r"^(?:Args|Attributes):\n((?:^(?: {4}.*)?\n?)+)", re.MULTILINE)
_ENTRY = re.compile(r"^ {4}(\w+(?:, \w+)*): (.*(?:\n {5,}.*)*)", re.MULTILINE)
_REFERENCE = re.compile(r"(?:; )?\b[Ss]ee `(\w+)`(?:; )?")


def _meanings(described: type) -> dict[str, str]:
    """The meanings of a class's settings by name; those of a base class where it says nothing of its own."""
    found: dict[str, str] = {}
    for base in reversed(described.__mro__):
        for name, text in _entries(base):
            found[name] = _sentence(_followed(name, text))
    return found


def _entries(described: type) -> Iterator[tuple[str, str]]:
    text = inspect.cleandoc(described.__dict__.get("__doc__") or "")  # without docstrings (python -OO) there are none
    for section in _SECTION.findall(text + "\n"):
        for names, meaning in _ENTRY.findall(section):
            for name in names.split(", "):
                yield name, " ".join(meaning.split())


def _followed(name: str, text: str) -> str:
    """A text that says "see `Layer`" with what that layer says of the setting: of `dnn_dropout` what it does of its
    `dropout`.
    """
    reference = _REFERENCE.search(text)
    layer = getattr(layers, reference[1], None) if reference else None
    if reference is None or not isinstance(layer, type):
        return text
    told = dict(_entries(layer))
    meaning = told.get(name) or told.get(name.partition("_")[2])
    if meaning is None:
        return text
    own = [text[: reference.start()], text[reference.end() :].strip(".")]
    return " ".join(_sentence(part) for part in (own[0], meaning, own[1]) if part)


def _sentence(text: str) -> str:
    text = text.strip()
    # A word in backticks, or a symbol of a formula, is written as it is.
    begin = text[:1].upper() + text[1:] if re.match(r"[a-z]+\b(?![_`'(])", text) else text
    return begin if not begin or begin.endswith((".", "!", "?")) else f"{begin}."


# ---- what a value may be

_ANY = {int: "whole number", float: "number", str: "text"}


def _values(field: FieldInfo, choices: tuple[str, ...] | None) -> dict[str, Any]:
    """`values` and `choices` of a setting."""
    if choices is not None:
        known: tuple[Any, ...] = (*choices, *([None] if field.default is None else []))
        return {"values": _listed(map(value_text, known)), "choices": known}
    parts = [part for kind in _members(field.annotation, field.metadata) for part in _parts(*kind)]
    counted = all(is_choice for _, is_choice, _ in parts)
    return {
        "values": _listed(dict.fromkeys(word for word, _, _ in parts)),
        "choices": tuple(value for _, _, value in parts) if counted else (),
    }


def _members(kind: Any, metadata: Iterable[Any]) -> list[tuple[Any, list[Any]]]:
    """The members of a union, each with what limits it."""
    limits = list(metadata)
    while get_origin(kind) is Annotated:
        kind, *more = get_args(kind)
        limits += more
    if get_origin(kind) in (Union, types.UnionType):
        return [member for one in get_args(kind) for member in _members(one, limits)]
    return [(kind, limits)]


def _parts(kind: Any, limits: list[Any]) -> list[tuple[str, bool, Any]]:
    """What a type allows: words, whether they are a single value, and that value."""
    if kind is type(None):
        return [("none", True, None)]
    if get_origin(kind) is Literal:
        return [(value_text(value), True, value) for value in get_args(kind)]
    if kind is bool:
        return [("true", True, True), ("false", True, False)]
    if get_origin(kind) in (tuple, list):
        ((member, _),) = _members(get_args(kind)[0], [])
        if get_origin(member) in (tuple, list):
            return [("lists of names", False, None)]
        return [("names with commas between" if member is str else "whole numbers with commas between", False, None)]
    if kind in _ANY:
        return [(_ANY[kind] + _limited(limits), False, None)]
    return [("file", False, None)]


def _limited(limits: Iterable[Any]) -> str:
    """` >= 1`, ` > 0 and < 1`, ` from 1 to 10` and the like."""
    bounds: dict[str, Any] = {}
    for limit in limits:
        for one in getattr(limit, "metadata", [limit]):  # pydantic's Field within Annotated holds them
            bounds |= {
                key: getattr(one, key) for key in ("gt", "ge", "lt", "le") if getattr(one, key, None) is not None
            }
    shown = {key: f"{value:,}" if isinstance(value, int) else f"{value:g}" for key, value in bounds.items()}
    if "ge" in shown and "le" in shown:
        return f" from {shown['ge']} to {shown['le']}"
    signs = {"ge": ">=", "gt": ">", "le": "<=", "lt": "<"}
    both = " and ".join(f"{sign} {shown[key]}" for key, sign in signs.items() if key in shown)
    return f" {both}" if both else ""


def _listed(texts: Iterable[str]) -> str:
    words = list(texts)
    return ", ".join(words[:-1]) + (" or " if words[:-1] else "") + words[-1]


def value_text(value: Any) -> str:
    """A value as `--set` takes it.

    Args:
        value: a setting's.

    Returns:
        The text.

    Example:
        >>> value_text(None), value_text(True), value_text([400, 400]), value_text(1e-3), value_text("auto")
        ('none', 'true', '400,400', '0.001', 'auto')
    """
    if value is None or isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, list | tuple):
        return ",".join(map(value_text, value)) if value else "[]"
    return f"{value:g}" if isinstance(value, float) else str(value)
