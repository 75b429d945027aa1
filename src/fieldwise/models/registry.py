"""Models by name, and their settings as typed pydantic models derived from the constructors' signatures.

A constructor takes the layout and then keyword-only arguments with annotations and defaults. These are the model's
settings: there is no second list to keep. A preset is a named choice of settings, for example a paper's.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar, get_type_hints

import torch
from pydantic import BaseModel, ConfigDict, ValidationError, create_model
from torch.overrides import TorchFunctionMode

from fieldwise.architecture import MAY_NAME_A_FILE
from fieldwise.errors import SettingsError, suggest
from fieldwise.layout import Layout
from fieldwise.models.base import CTRModel
from fieldwise.models.searchable import SearchHooks
from fieldwise.models.with_statistics import WithStatistics
from fieldwise.storage.places import expanded
from fieldwise.validation import describe
from fieldwise.wording import of_your_own

ModelClass = TypeVar("ModelClass", bound=type[CTRModel])

_CONFIG = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False, protected_namespaces=())


@dataclass(frozen=True)
class _Entry:
    summary: str
    build: type[CTRModel]
    presets: Mapping[str, Mapping[str, Any]]
    settings: type[BaseModel]
    search: SearchHooks | None


_entries: dict[str, _Entry] = {}


def register(
    name: str,
    *,
    summary: str,
    presets: Mapping[str, Mapping[str, Any]] | None = None,
    defaults: Mapping[str, Any] | None = None,
    search: SearchHooks | None = None,
) -> Callable[[ModelClass], ModelClass]:
    """Class decorator: makes a model known under a name.

    A class may be registered again under another name, with other defaults: `register("autoint+", ...)(AutoInt)`.

    Args:
        name: What `build`, settings files and the command line call it.
        summary: One line for lists.
        presets: Preset name -> settings.
        defaults: Settings that differ from the signature's.
        search: Of a model that interactions can be searched for; it builds from the setting `architecture`.

    Raises:
        ValueError: For a name that is taken, for a preset or default that is no valid setting, and for a constructor
            with a setting that is not keyword-only or has no default.

    Example:
        >>> with temporary():
        ...     @register("total", summary="the sum of all numbers")
        ...     class Total(CTRModel):
        ...         def __init__(self, layout, *, scale: float = 1.0):
        ...             super().__init__(layout)
        ...             self.scale = scale
        ...         def forward(self, batch):
        ...             return self.scale * batch.numeric.sum(dim=1)
        ...     resolve("total", settings={"scale": 2})
        {'scale': 2.0}
    """

    def enter(cls: ModelClass) -> ModelClass:
        if name in _entries:
            raise ValueError(f"the model name '{name}' is taken by {_entries[name].build.__qualname__}")
        settings = _derive_settings(name, cls, defaults or {})
        for preset in (presets or {}).values():
            settings.model_validate(dict(preset))
        _entries[name] = _Entry(summary, cls, dict(presets or {}), settings, search)
        return cls

    return enter


def names() -> list[str]:
    """The names of all models, sorted.

    Example:
        >>> names()[:3]
        ['afm', 'aim', 'autofis']
    """
    return sorted(_entries)


def summary(name: str) -> str:
    """One line about a model.

    Args:
        name: A registered model.

    Raises:
        SettingsError: For an unknown name.

    Example:
        >>> summary("lr")
        'logistic regression: one weight per token, no interactions'
    """
    return _entry(name).summary


def presets(name: str) -> dict[str, dict[str, Any]]:
    """A model's presets.

    Args:
        name: A registered model.

    Returns:
        Preset name -> the settings that it chooses; the others keep their defaults.

    Raises:
        SettingsError: For an unknown model.

    Example:
        >>> presets("lr")
        {'paper': {'missing': 'zero'}}
    """
    return {preset: dict(settings) for preset, settings in _entry(name).presets.items()}


def settings_model(name: str) -> type[BaseModel]:
    """A model's settings as a pydantic model that forbids other keys.

    Args:
        name: A registered model.

    Raises:
        SettingsError: For an unknown name.

    Example:
        >>> list(settings_model("lr").model_fields)
        ['missing', 'pooling']
    """
    return _entry(name).settings


def model_class(name: str) -> type[CTRModel]:
    """The class of a model.

    Args:
        name: A registered model.

    Raises:
        SettingsError: For an unknown name.

    Example:
        >>> model_class("autoint+").__name__
        'AutoInt'
    """
    return _entry(name).build


def search_defaults(name: str) -> dict[str, Any] | None:
    """The search settings that differ from the usual ones for a model; None for one that does not search.

    Raises:
        SettingsError: For an unknown name.
    """
    hooks = _entry(name).search
    return None if hooks is None else dict(hooks.defaults)


def require_registered(name: str) -> None:
    """Make sure that the model of something that was saved is known; the name was no typing error then.

    Args:
        name: A model's.

    Raises:
        SettingsError: It is not.
    """
    if name not in _entries:
        raise SettingsError(f"unknown model '{name}'; {of_your_own('a model')}")


def unknown_model(name: str, known: Iterable[str]) -> SettingsError:
    """The error for a name that is none.

    Args:
        name: What was asked for.
        known: What could have been.

    Returns:
        An error with the nearest name, or with all and how a model of one's own becomes known.
    """
    hint = suggest(name, known)
    return SettingsError(
        f"unknown model '{name}'; {hint}" + ("" if "did you mean" in hint else f"; {of_your_own('a model')}")
    )


def is_users_own(name: str) -> bool:
    """Whether a model is of somebody else than this library.

    Args:
        name: Any.

    Returns:
        False for the models of this library, for other defaults of them, and for unknown names.

    Example:
        >>> is_users_own("autoint")
        False
    """
    return name in _entries and not _entries[name].build.__module__.startswith("fieldwise.")


def require_searchable(name: str) -> None:
    """Make sure that a model searches.

    Raises:
        SettingsError: For a model that does not, with the names of those that do, and for an unknown name.
    """
    if search_defaults(name) is None:
        able = [other for other in names() if search_defaults(other) is not None]
        raise SettingsError(f"model '{name}' does not search for interactions; models that do: {', '.join(able)}")


def resolve(name: str, *, preset: str | None = None, settings: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """A model's complete settings, ready for JSON: its defaults, over them the preset's, over them the given ones.

    Args:
        name: A registered model.
        preset: One of its presets.
        settings: What differs from the preset or, without one, from the defaults. Where a setting is a document of its
            own, such as an architecture, the name of its file may be given instead.

    Raises:
        SettingsError: For an unknown model, preset or setting, with the nearest known name, and for a wrong value, with
            the setting and what it was.

    Example:
        >>> resolve("lr", preset="paper", settings={"pooling": "sum"})
        {'missing': 'zero', 'pooling': 'sum'}
    """
    entry = _entry(name)
    base: Mapping[str, Any] = {}
    if preset is not None:
        if preset not in entry.presets:
            raise SettingsError(f"model '{name}' has no preset '{preset}'; {suggest(preset, entry.presets)}")
        base = entry.presets[preset]
    return _validate(name, entry, {**base, **(settings or {})}, may_read_files=True).model_dump(mode="json")


def look_beside(file: Path, name: str, settings: Mapping[str, Any]) -> dict[str, Any]:
    """Settings as they stand in a file, with relative paths among them made those of what lies beside that file.

    Args:
        file: Where the settings were read.
        name: Of the model.
        settings: Some of its settings; unknown ones stay as they are.

    Returns:
        The settings. A path that leads nowhere from the file's folder, but somewhere from the working directory, stays
        as it is.

    Raises:
        SettingsError: For an unknown model.
    """
    fields = _entry(name).settings.model_fields
    paths = {
        setting: file.parent / expanded(value)  # one in a home stays as it is
        for setting, value in settings.items()
        if isinstance(value, str) and setting in fields and MAY_NAME_A_FILE in fields[setting].metadata
    }
    return {
        **settings,
        **{s: str(path) for s, path in paths.items() if path.exists() or not expanded(settings[s]).exists()},
    }


def build_for_search(name: str, layout: Layout, settings: Mapping[str, Any]) -> CTRModel:
    """A new network to search with: as `build`, with what the model leaves out while it searches.

    Args:
        name: A registered model.
        layout: The fields of the data.
        settings: As for `build`; what the search itself sets (`SearchHooks.while_searching`) goes before them.

    Raises:
        SettingsError: As `build` does, and for a model that does not search.
    """
    require_searchable(name)
    hooks = _entry(name).search
    assert hooks is not None
    return build(name, layout, {**settings, **hooks.while_searching})


def build(name: str, layout: Layout, settings: Mapping[str, Any] | None = None) -> CTRModel:
    """A new model with random weights; beside it, where the layout has statistics, what reads them.

    Args:
        name: A registered model.
        layout: The fields of the data.
        settings: Those not given are at their defaults.

    Raises:
        SettingsError: As `resolve` does, and where settings contradict each other.

    Example:
        >>> from fieldwise.layout import FieldLayout
        >>> layout = Layout((FieldLayout("user", "categorical", 9), FieldLayout("movie", "categorical", 7)))
        >>> type(build("fm", layout, {"embedding_dim": 4})).__name__
        'FM'
    """
    entry = _entry(name)
    validated = _validate(name, entry, settings or {})
    # The base class names the layout only; the settings are the subclass's, checked by its own model.
    constructor: Callable[..., CTRModel] = entry.build
    chosen = {setting: getattr(validated, setting) for setting in entry.settings.model_fields}
    model = constructor(layout.without_statistics, **chosen)
    return WithStatistics(layout, model) if layout.statistics else model


def sketch(name: str, layout: Layout, settings: Mapping[str, Any] | None = None) -> CTRModel:
    """A model as `build` makes it, without its weights: shapes and names alone, on torch's meta device.

    Nothing is drawn and no memory is taken, whatever the size of the tables. For checking settings against a layout,
    counting parameters, choosing how to train.

    Args:
        name: A registered model.
        layout: The fields of the data.
        settings: Those not given are at their defaults.

    Returns:
        The model; its tensors hold nothing, so it cannot predict.

    Raises:
        SettingsError: As `build` does.

    Example:
        >>> from fieldwise.layout import FieldLayout
        >>> layout = Layout((FieldLayout("user", "categorical", 1_000_000_000),))
        >>> sum(weight.numel() for weight in sketch("lr", layout).parameters())  # the zero row and the bias are two
        1000000002
    """
    with torch.device("meta"), _WithoutDrawing():
        return build(name, layout, settings)


@contextmanager
def temporary() -> Iterator[None]:
    """Within it models may be registered; when the block ends they are known no longer."""
    before = dict(_entries)
    try:
        yield
    finally:
        _entries.clear()
        _entries.update(before)


class _WithoutDrawing(TorchFunctionMode):
    """Leaves out random numbers on the meta device, which holds none: torch would load its compiler to draw them."""

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        """Call `func`, unless it is the one that `torch.nn.init` has no quick form of."""
        if func is torch.nn.init.normal_:
            return (kwargs or {}).get("tensor", args[0] if args else None)
        return func(*args, **(kwargs or {}))


def _entry(name: str) -> _Entry:
    if name not in _entries:
        raise unknown_model(name, _entries)
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
