"""Contenders: the models of a comparison with their settings, from names and from a settings file.

The file has what `fieldwise train --config` knows, and a section for every contender:

    base = "lr"                           # differences are to this one
    objective = "binary"                  # what the label is
    [training]                            # for all networks
    epochs = 50
    [models.autoint]                      # the registered model `autoint`
    preset = "reference"
    dropout = 0.4
    [models."without residual"]           # a name of one's own needs `name`, the registered one
    name = "autoint"
    residual = false
    training = { patience = 5 }           # for this one only
    search = { orders = [2, 3] }          # of a model that searches for interactions
    tune = { dropout = [0.0, 0.2, 0.4], "training.learning_rate" = { low = 1e-4, high = 3e-3, log = true } }
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from fieldwise.errors import SettingsError, suggest
from fieldwise.models import registry
from fieldwise.recipes import boosting
from fieldwise.settings import DataSettings, Settings, resolve_settings
from fieldwise.settings.names import new_name
from fieldwise.storage.places import expanded
from fieldwise.tuning import Choice, Range, default_ranges, parse_range
from fieldwise.validation import describe
from fieldwise.wording import argument


class Contender(BaseModel):
    """A model that takes part.

    Attributes:
        name: how tables call it.
        model: a registered model, or an external one (`lightgbm`, `catboost`).
        settings: those that are not at their defaults, by dotted name.
        ranges: what tuning may choose from, by dotted name.

    Example:
        >>> contender = Contender(name="small", model="autoint", settings={"model.num_layers": 1})
        >>> contender.resolve(seed=3).model_settings["num_layers"]
        1
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str
    model: str
    settings: dict[str, Any] = {}
    ranges: dict[str, Choice | Range] = {}

    @property
    def is_external(self) -> bool:
        """Whether it is no network of ours, but trees by another library."""
        return self.model in boosting.NAMES

    def resolve(self, seed: int, tuned: Mapping[str, Any] | None = None, *, objective: str = "binary") -> Settings:
        """The complete settings for one run.

        Args:
            seed: of the run.
            tuned: the settings that tuning chose, by dotted name.
            objective: what the label is, by name.

        Returns:
            The settings.

        Raises:
            SettingsError: a setting does not exist or has a wrong value.
        """
        overrides = {**self.settings, **(tuned or {})}
        return resolve_settings(model=self.model, overrides=overrides, seed=seed, objective=objective)


class Plan(BaseModel):
    """Who is compared, and how the rows are prepared for all of them.

    Attributes:
        contenders: in the order of the table.
        base: whose figures differences are taken to.
        ours: names of those that are held against the best of the others.
        data: how rows are split and tokens become ids.
        objective: what the label is, by name.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    contenders: list[Contender]
    base: str
    ours: list[str]
    data: DataSettings = DataSettings()
    objective: str = "binary"


class _File(BaseModel):
    """A settings file as it is written."""

    model_config = ConfigDict(extra="forbid")

    base: str | None = None
    ours: list[str] | None = None
    objective: str | None = None
    training: dict[str, Any] = {}
    data: dict[str, Any] = {}
    models: dict[str, dict[str, Any]] = Field(default_factory=dict)


OURS = ("autoint", "autoint+", "aim")
"""Registered models that count as ours where nobody says otherwise and no model of the user's own takes part."""


def plan(
    models: Sequence[str] | None = None,
    *,
    config: str | Path | None = None,
    overrides: Mapping[str, Any] | None = None,
    base: str | None = None,
    tune: bool = False,
    objective: str | None = None,
) -> Plan:
    """Settle who takes part, from names, a file and settings for all; every setting is checked here.

    Args:
        models: names of registered or external models, or of sections of the file; default: all sections of the file.
        config: the settings file.
        overrides: settings of `training` and `data` for all networks, by dotted or bare name; they win over the file's.
        base: default is the file's, else `lr` where it takes part, else the first contender.
        tune: gives contenders without ranges of their own the usual ones.
        objective: what the label is; default is the file's, else clicks.

    Returns:
        The plan.

    Raises:
        SettingsError: something is unknown or wrong; the message names the contender or the setting.

    Example:
        >>> settled = plan(["lr", "autoint", "lightgbm"])
        >>> settled.base, settled.ours
        ('lr', ['autoint'])
    """
    file = _File() if config is None else _read(expanded(config))
    names = list(dict.fromkeys(models or file.models))
    if not names:
        raise SettingsError(f"name the models to compare, for example {argument('models', ['lr', 'fm', 'autoint'])}")
    kind = objective or file.objective or "binary"
    common, prepared = _split_overrides(overrides or {})
    shared = {**{f"training.{name}": value for name, value in file.training.items()}, **common}
    data = resolve_settings(overrides={f"data.{name}": v for name, v in {**file.data, **prepared}.items()}).data
    contenders = []
    for name in names:
        contender = _contender(name, file.models.get(name, {}), shared, config=config, sections=file.models)
        if tune and not contender.ranges:
            contender = contender.model_copy(update={"ranges": default_ranges(contender.model)})
        contenders.append(contender)
        try:
            contender.resolve(seed=0, objective=kind)
        except SettingsError as error:
            raise SettingsError(f"{name}: {error}") from error
    base = base or file.base or ("lr" if "lr" in names else names[0])
    if base not in names:
        raise SettingsError(f"the base '{base}' does not take part; {suggest(base, names)}")
    ours = file.ours if file.ours is not None else _ours(contenders)
    if unknown := [name for name in ours if name not in names and name not in file.models]:
        raise SettingsError(f"ours: '{unknown[0]}' does not take part; {suggest(unknown[0], names)}")
    return Plan(
        contenders=contenders,
        base=base,
        ours=[name for name in ours if name in names],
        data=data,
        objective=kind,
    )


def _ours(contenders: Sequence[Contender]) -> list[str]:
    """Whom the others are held against: models of the user's own where there are any, else this library's."""
    own = [c.name for c in contenders if registry.is_users_own(c.model)]
    return own or [c.name for c in contenders if c.model in OURS]


def _contender(
    name: str,
    section: Mapping[str, Any],
    shared: Mapping[str, Any],
    *,
    config: str | Path | None,
    sections: Mapping[str, Any],
) -> Contender:
    """A contender from its section of the settings file `config`. sections: all sections of contenders in it."""
    section = dict(section)
    model = section.pop("name", name)
    ranges, training, searching = (section.pop(part, {}) for part in ("tune", "training", "search"))
    if model not in registry.names() and model not in boosting.NAMES:
        raise registry.unknown_model(model, [*registry.names(), *boosting.NAMES, *sections])
    external = model in boosting.NAMES
    for part, settings in (("training", training), ("search", searching)):
        if external and settings:
            raise SettingsError(f"[models.{name}]: '{model}' is no network of ours and has no section {part}")
    if not external and config is not None:
        section = registry.look_beside(expanded(config), model, section)
    settings = {f"model.{key}": value for key, value in section.items()}
    if not external:
        settings = {**shared, **settings}
        settings |= {f"training.{key}": value for key, value in training.items()}
        settings |= {new_name(f"search.{key}"): value for key, value in searching.items()}
    try:
        parsed = {_dotted(key): parse_range(key, value) for key, value in ranges.items()}
        return Contender(name=name, model=model, settings=settings, ranges=parsed)
    except SettingsError as error:
        raise SettingsError(f"[models.{name}]: {error}") from error


def _dotted(name: str) -> str:
    return new_name(name) if "." in name else f"model.{name}"


def _split_overrides(overrides: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Settings for all networks by dotted name, and those of the data by bare name."""
    common, data = {}, {}
    for name, value in overrides.items():
        section, dot, bare = name.partition(".")
        if section == "data" or (not dot and name in DataSettings.model_fields):
            data[bare or name] = value
        elif section == "model":
            raise SettingsError(f"'{name}' would be for every model; settings of one stand in its section of the file")
        else:
            common[name] = value
    return common, data


def _read(path: Path) -> _File:
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8-sig"))  # some editors put a byte order mark
        return _File.model_validate(content)
    except OSError as error:
        raise SettingsError(f"cannot read the settings file {path}: {error.strerror}") from error
    except ValidationError as error:
        raise SettingsError(f"{path}: {describe(error, _File)}") from error
    except ValueError as error:
        raise SettingsError(f"{path} is not valid TOML: {error}") from error
