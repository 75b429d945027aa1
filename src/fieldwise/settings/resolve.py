"""Settings from a model's name, a TOML file and single overrides: the same grammar serves Python and command line.

An unknown name is an error that suggests the nearest known one.
"""

from __future__ import annotations

import json
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from fieldwise.errors import SettingsError, suggest
from fieldwise.objectives import objective_class
from fieldwise.settings import trees
from fieldwise.settings.documents import DataSettings, SearchSettings, Settings, TrainingSettings
from fieldwise.settings.names import OLD_NAMES, new_name
from fieldwise.storage.places import expanded

_OF_NETWORKS = {"training": set(TrainingSettings.model_fields), "search": set(SearchSettings.model_fields)}
"""Sections that some models lack, and their settings."""
_TOP = ("seed", "objective")
"""Settings that belong to no section."""


def resolve_settings(
    *,
    model: str | None = None,
    config: str | Path | None = None,
    overrides: Mapping[str, Any] | None = None,
    seed: int | None = None,
    objective: str | None = None,
) -> Settings:
    """Complete settings from a model's name, a TOML file and single overrides, the later ones winning.

    Args:
        model: a registered name; default `autoint`.
        config: a TOML file with the sections [model] (with `name` and `preset`), [training], [data] and, for a model
            that searches, [search], and with `seed` and `objective`. A relative path in it, such as that of
            an architecture, is looked for beside the file first.
        overrides: names such as `training.epochs`, `model.num_heads` or `data.min_count`, or the last part alone
            where only one section knows it. Old names (`OLD_NAMES`) are understood here and in the file.
        seed: of the run.
        objective: what the label is, by name.

    Returns:
        The settings.

    Raises:
        SettingsError: a name is unknown or ambiguous, or a value of the wrong kind; the message names the setting.

    Example:
        >>> settings = resolve_settings(model="aim", overrides={"training.epochs": 3, "search.threshold": 0.7})
        >>> settings.training.epochs, settings.search.threshold
        (3, 0.7)
    """
    from fieldwise.models import registry

    sections: dict[str, dict[str, Any]] = {"model": {}, "training": {}, "data": {}, "search": {}}
    top: dict[str, Any] = {}
    if config is not None:
        for name, value in _read_toml(expanded(config)).items():
            if name in sections and isinstance(value, dict):
                sections[name].update(value)
            elif name in _TOP:
                top[name] = value
            else:
                raise SettingsError(f"{config}: unknown entry '{name}'; {suggest(name, [*sections, *_TOP])}")
    # The model decides which further names are known, so it is settled first.
    overrides = dict(overrides or {})
    named = overrides.pop("model", None) or overrides.pop("model.name", None) or model
    model = str(named or sections["model"].get("name") or "autoint")
    sections["model"].pop("name", None)
    require_model(model)
    is_trees = model in trees.NAMES
    search_defaults = None if is_trees else registry.search_defaults(model)
    names = {"data": set(DataSettings.model_fields)}
    if is_trees:
        names["model"] = set(trees.settings_model(model).model_fields)
    else:
        names["model"] = {*registry.settings_model(model).model_fields, "preset"}
        names["training"] = set(TrainingSettings.model_fields)
    if search_defaults is not None:
        names["search"] = set(SearchSettings.model_fields)
    if config is not None and not is_trees:
        sections["model"] = registry.look_beside(expanded(config), model, sections["model"])
    sections = {section: sections[section] for section in names}
    for section in names.keys() - {"model"}:
        sections[section] = _with_new_names(section, sections[section], config)
    for name, value in overrides.items():
        if name in _TOP:
            top[name] = value
            continue
        section, setting = _locate(name, names, model)
        sections[section][setting] = value
    if seed is not None:
        top["seed"] = seed
    if objective is not None:
        top["objective"] = objective
    objective_class(top.get("objective", "binary"))
    for section in names.keys() - {"model"}:
        for name in sections[section]:
            _require_known(f"{section}.{name}", name, names[section])
    preset = sections["model"].pop("preset", None)
    return Settings(
        model=model,
        preset=preset,
        model_settings=(
            trees.resolve(model, sections["model"])
            if is_trees
            else registry.resolve(model, preset=preset, settings=sections["model"])
        ),
        training=TrainingSettings(**sections.get("training", {})),
        data=DataSettings(**sections["data"]),
        search=None if search_defaults is None else SearchSettings(**{**search_defaults, **sections["search"]}),
        **top,
    )


def require_model(name: str) -> None:
    """Make sure that there is a model of this name: a registered network, or boosted trees.

    Args:
        name: what was asked for.

    Raises:
        SettingsError: there is none.

    Example:
        >>> require_model("lightgb")
        Traceback (most recent call last):
        fieldwise.errors.SettingsError: unknown model 'lightgb'; did you mean 'lightgbm'?
    """
    from fieldwise.models import registry

    known = [*registry.names(), *trees.NAMES]
    if name not in known:
        raise registry.unknown_model(name, known)


def parse_override(text: str) -> tuple[str, Any]:
    """Read `name=value` as it is typed on the command line: numbers, true/false, none, lists as `400,400`.

    Args:
        text: what was typed.

    Returns:
        The name and the value.

    Raises:
        SettingsError: there is no `=`.

    Example:
        >>> parse_override("model.dnn_hidden=400,400")
        ('model.dnn_hidden', [400, 400])
    """
    name, equals, value = text.partition("=")
    if not equals or not name.strip():
        raise SettingsError(f"{text}: expected NAME=VALUE, for example training.epochs=3")
    return name.strip(), _parse_value(value.strip())


def _parse_value(text: str) -> Any:
    if text.lower() in ("none", "null"):
        return None
    try:
        return json.loads(text)
    except ValueError:
        pass
    if "," in text:
        return [_parse_value(part.strip()) for part in text.split(",") if part.strip()]
    return {"true": True, "false": False}.get(text.lower(), text)


def _read_toml(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8-sig"))  # some editors put a byte order mark
    except OSError as error:
        raise SettingsError(f"cannot read the settings file {path}: {error.strerror}") from error
    except ValueError as error:
        raise SettingsError(f"{path} is not valid TOML: {error}") from error


def _locate(name: str, names: Mapping[str, set[str]], model: str) -> tuple[str, str]:
    """The section and the setting that a dotted or bare name means."""
    section, dot, setting = name.partition(".")
    if _is_of_other_models(name, names):
        *most, last = sorted(names)
        raise SettingsError(
            f"model '{model}' has no setting '{name}'; those of [model] are {', '.join(sorted(names['model']))}, and "
            f"its sections are {', '.join(most)} and {last}"
        )
    if dot:
        if section not in names:
            raise SettingsError(f"unknown setting '{name}'; {suggest(section, names)}")
        setting = new_name(name).partition(".")[2]
        _require_known(name, setting, names[section])
        return section, setting
    owners = [section for section, of_section in names.items() if name in of_section]
    if len(owners) > 1 and "search" in owners:
        owners.remove("search")  # what the search has of its own in place of training's is said in full
    if len(owners) > 1:
        raise SettingsError(f"'{name}' is ambiguous; say {' or '.join(f'{o}.{name}' for o in owners)}")
    if owners:
        return owners[0], name
    for section in names:
        if f"{section}.{name}" in OLD_NAMES:
            return section, new_name(f"{section}.{name}").partition(".")[2]
    raise SettingsError(f"unknown setting '{name}'; {suggest(name, {*_TOP}.union(*names.values()))}")


def _is_of_other_models(name: str, names: Mapping[str, set[str]]) -> bool:
    """Whether a dotted or bare name is known, but only in sections that this model lacks."""
    section, dot, setting = name.rpartition(".")
    if any((section == of or not dot) and setting in known for of, known in names.items()):
        return False
    return any((section == of or not dot) and setting in known for of, known in _OF_NETWORKS.items() if of not in names)


def _with_new_names(section: str, settings: Mapping[str, Any], config: str | Path | None) -> dict[str, Any]:
    """The settings of a section of a file by today's names. Raises SettingsError for a setting under both names."""
    renamed: dict[str, Any] = {}
    for name, value in settings.items():
        new = new_name(f"{section}.{name}").partition(".")[2]
        if new in renamed or (new != name and new in settings):
            raise SettingsError(f"{config}: '{section}.{name}' is the old name of '{section}.{new}'; say one of them")
        renamed[new] = value
    return renamed


def _require_known(name: str, setting: str, known: set[str]) -> None:
    if setting not in known:
        raise SettingsError(f"unknown setting '{name}'; {suggest(setting, known)}")
