"""What a shell offers when the tab key is pressed: names of models, settings, presets and data sets.

A function is given what is typed so far of a word, and returns whole words. It never raises, for there is nobody to
tell. What is not offered here (files, directories) the shell completes by itself.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

import typer

SHAPES = ("criteo", "avazu", "kdd12", "movielens-1m")
"""Data sets with published sizes and figures (`fieldwise.comparison.sizes`); here, so that help loads no models."""


def complete_model(incomplete: str) -> list[str]:
    """Names of models, of boosted trees too."""
    return _beginning(incomplete, _models())


def complete_models(incomplete: str) -> list[str]:
    """The last of several names with commas between them."""
    return _last_of(incomplete, _models())


def complete_searchable(incomplete: str) -> list[str]:
    """Names of models that search for interactions."""
    from fieldwise.models import registry

    return _beginning(incomplete, [name for name in registry.names() if registry.search_defaults(name) is not None])


def complete_dataset(incomplete: str) -> list[str]:
    """Names of built-in data sets."""
    from fieldwise import datasets

    return _beginning(incomplete, datasets.names())


def complete_data(incomplete: str) -> list[str]:
    """Names of built-in data sets, but only once one is begun: else files are meant, which the shell knows."""
    return complete_dataset(incomplete) if incomplete else []


def complete_setting(ctx: typer.Context, incomplete: str) -> list[str]:
    """`training.epochs=` and the like, of the model that is named; after the sign, the values that can be counted."""
    from fieldwise.errors import FieldwiseError
    from fieldwise.settings.catalogue import describe_settings, value_text

    try:
        settings = describe_settings(ctx.params.get("model") or "autoint")
    except FieldwiseError:  # the name of the model is not known, or not one name
        return []
    name, equals, value = incomplete.partition("=")
    if not equals:
        names = [f"{setting.name}=" for setting in settings]
        # The last part of a name will do as well, and is what most people type.
        short = [f"{setting.name.rpartition('.')[2]}=" for setting in settings]
        return _beginning(incomplete, names) or _beginning(incomplete, short)
    choices = [s.choices for s in settings if name in (s.name, s.name.rpartition(".")[2])]
    return [f"{name}={word}" for of_one in choices[:1] for word in _beginning(value, map(value_text, of_one))]


def complete_from(*names: str) -> Callable[[str], list[str]]:
    """One of a few words."""

    def complete(incomplete: str) -> list[str]:
        return _beginning(incomplete, names)

    return complete


def _models() -> list[str]:
    from fieldwise.models import registry
    from fieldwise.settings import trees

    return sorted([*registry.names(), *trees.NAMES])


def _beginning(incomplete: str, names: Iterable[str]) -> list[str]:
    return [name for name in names if name.startswith(incomplete)]


def _last_of(incomplete: str, names: Iterable[str]) -> list[str]:
    before, comma, last = incomplete.rpartition(",")
    taken = before.split(",")
    return [f"{before}{comma}{name}" for name in _beginning(last, names) if name not in taken]
