"""Models by name, and their settings as typed pydantic models derived from the constructors' signatures.

A constructor takes the layout and then keyword-only arguments with annotations and defaults. These are the model's
settings: there is no second list to keep. A preset is a named choice of settings, for example a paper's.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar, get_type_hints

from pydantic import BaseModel, ConfigDict, ValidationError, create_model

from fieldwise.errors import SettingsError, suggest
from fieldwise.layout import Layout
from fieldwise.models.base import CTRModel
from fieldwise.validation import describe

ModelClass = TypeVar("ModelClass", bound=type[CTRModel])

_CONFIG = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False, protected_namespaces=())


@dataclass(frozen=True)
class _Entry:
    summary: str
    build: type[CTRModel]
    presets: Mapping[str, Mapping[str, Any]]
    settings: type[BaseModel]


_entries: dict[str, _Entry] = {}


def register(
    name: str,
    *,
    summary: str,
    presets: Mapping[str, Mapping[str, Any]] | None = None,
    defaults: Mapping[str, Any] | None = None,
) -> Callable[[ModelClass], ModelClass]:
    """Class decorator: makes a model known under a name.

    A class may be registered again under another name, with other defaults: `register("autoint+", ...)(AutoInt)`.

    summary: one line for lists. presets: preset name -> settings. defaults: settings that differ from the signature's.
    Raises ValueError for a name that is taken, for a preset or default that is no valid setting, and for a
    constructor with a setting that is not keyword-only or has no default.
    """

    def enter(cls: ModelClass) -> ModelClass:
        if name in _entries:
            raise ValueError(f"the model name '{name}' is taken by {_entries[name].build.__qualname__}")
        settings = _derive_settings(name, cls, defaults or {})
        for chosen in (presets or {}).values():
            settings.model_validate(dict(chosen))
        _entries[name] = _Entry(summary, cls, dict(presets or {}), settings)
        return cls

    return enter


def names() -> list[str]:
    """The names of all models, sorted."""
    return sorted(_entries)


def summary(name: str) -> str:
    """One line about a model. Raises SettingsError for an unknown name."""
    return _entry(name).summary


def presets(name: str) -> dict[str, dict[str, Any]]:
    """A model's presets: name -> the settings that it chooses. Raises SettingsError for an unknown model."""
    return {preset: dict(chosen) for preset, chosen in _entry(name).presets.items()}


def settings_model(name: str) -> type[BaseModel]:
    """A model's settings as a pydantic model that forbids other keys. Raises SettingsError for an unknown name."""
    return _entry(name).settings


def search_defaults(name: str) -> dict[str, Any] | None:
    """The search settings that differ from the usual ones for a model; None for one that does not search.

    Raises SettingsError for an unknown name.
    """
    defaults = _entry(name).build.search_defaults
    return None if defaults is None else dict(defaults)


def require_searchable(name: str) -> None:
    """Raises SettingsError for a model that does not search, and for an unknown name."""
    if search_defaults(name) is None:
        able = [other for other in names() if search_defaults(other) is not None]
        raise SettingsError(f"model '{name}' does not search for interactions; models that do: {', '.join(able)}")


def resolve(name: str, *, preset: str | None = None, settings: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """A model's complete settings, ready for JSON: its defaults, over them the preset's, over them the given ones.

    Where a setting is a document of its own, such as an architecture, the name of its file may be given instead.

    Raises SettingsError for an unknown model, preset or setting, with the nearest known name, and for a wrong
    value, with the setting and what it was.
    """
    entry = _entry(name)
    chosen: Mapping[str, Any] = {}
    if preset is not None:
        if preset not in entry.presets:
            raise SettingsError(f"model '{name}' has no preset '{preset}'; {suggest(preset, entry.presets)}")
        chosen = entry.presets[preset]
    return _validate(name, entry, {**chosen, **(settings or {})}, may_read_files=True).model_dump(mode="json")


def build_for_search(name: str, layout: Layout, settings: Mapping[str, Any]) -> CTRModel:
    """A new network to search with: as `build`, with what the model leaves out while it searches.

    Raises SettingsError for a model that does not search.
    """
    require_searchable(name)
    return build(name, layout, {**settings, **_entry(name).build.while_searching})


def build(name: str, layout: Layout, settings: Mapping[str, Any] | None = None) -> CTRModel:
    """A new model with random weights. Settings not given are at their defaults.

    Raises SettingsError as `resolve` does, and where settings contradict each other.
    """
    entry = _entry(name)
    validated = _validate(name, entry, settings or {})
    # The base class names the layout only; the settings are the subclass's, checked by its own model.
    constructor: Callable[..., CTRModel] = entry.build
    return constructor(layout, **{setting: getattr(validated, setting) for setting in entry.settings.model_fields})


def _entry(name: str) -> _Entry:
    if name not in _entries:
        raise SettingsError(f"unknown model '{name}'; {suggest(name, _entries)}")
    return _entries[name]


def _validate(name: str, entry: _Entry, settings: Mapping[str, Any], *, may_read_files: bool = False) -> BaseModel:
    """may_read_files: whether a setting may be given as the name of a file that holds it."""
    try:
        return entry.settings.model_validate(dict(settings), context={"may_read_files": may_read_files})
    except ValidationError as error:
        sentence = describe(error, entry.settings, owner=f"model '{name}'", what="setting")
        raise SettingsError(sentence) from None


def _derive_settings(name: str, cls: type[CTRModel], defaults: Mapping[str, Any]) -> type[BaseModel]:
    hints = get_type_hints(cls.__init__, include_extras=True)
    arguments = list(inspect.signature(cls).parameters.values())[1:]  # the first one is the layout
    fields: dict[str, Any] = {}
    for argument in arguments:
        if argument.kind is not argument.KEYWORD_ONLY or argument.default is argument.empty:
            raise ValueError(f"{cls.__qualname__}: setting '{argument.name}' must be keyword-only and have a default")
        fields[argument.name] = (hints[argument.name], defaults.get(argument.name, argument.default))
    unknown = defaults.keys() - fields.keys()
    if unknown:
        raise ValueError(f"{cls.__qualname__} has no setting '{sorted(unknown)[0]}' to give a default to")
    model: type[BaseModel] = create_model(f"{cls.__name__}Settings", __config__=_CONFIG, **fields)
    model.__doc__ = f"Settings of the model '{name}'."
    model.model_validate(dict(defaults))
    return model
