"""Settings: everything that may be chosen about a run, typed, with the names that the field uses.

They come from defaults, then a TOML file, then single overrides (`--set model.num_heads=4`); the same grammar
serves Python and the command line. An unknown name is an error that suggests the nearest known one.
"""

from __future__ import annotations

import json
import logging
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from fieldwise.architecture import upgrade
from fieldwise.data.splits import SplitMethod
from fieldwise.errors import SettingsError, suggest

_log = logging.getLogger(__name__)

OLD_NAMES: Mapping[str, str] = {
    "search.passes": "search.epochs",
    "search.share_positions": "search.share_dimensions",
    "search.position_threshold": "search.dimension_threshold",
    "search.position_mu": "search.dimension_mu",
    "search.position_c": "search.dimension_c",
}
"""What settings were called before, by section and name: files and commands that say it so are still understood."""


class _MayNameAFile:
    """See `MAY_NAME_A_FILE`."""


MAY_NAME_A_FILE = _MayNameAFile()
"""A mark in a setting's annotation: a text in its place is the path of a file that holds it."""


class DataSettings(BaseModel):
    """How rows become training, validation and test rows, and tokens become ids.

    min_count: tokens seen less often in training share their field's OTHER id with tokens never seen. At the
        default 2 these are the tokens seen once, which are the best evidence there is of what a new one does.
    split: `stratified` and `random` by the run's seed, `time` by the time column; the default is `time` where
        the schema has a time column, else `stratified`.
    valid_fraction, test_fraction: shares of the rows, where no validation or test file is given.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    min_count: int = Field(default=2, ge=1)
    split: SplitMethod | None = None
    valid_fraction: float = Field(default=0.1, ge=0, lt=1)
    test_fraction: float = Field(default=0.1, ge=0, lt=1)


class TrainingSettings(BaseModel):
    """How a network is trained.

    epochs: passes over the training rows at most; early stopping usually ends sooner.
    batch_size: rows per step. learning_rate: Adam's, at its highest.
    schedule: `constant`, or a fall to zero over all epochs, `linear` or `cosine`.
    warmup_steps: steps over which the learning rate rises to its full value first.
    clip_norm: the gradient is scaled down to this norm where it is larger; None does not clip.
    embedding_optimizer: what moves the embedding tables: `adam` over whole tables, `row_adam` and `row_adagrad` over
        the rows that a batch has read. embedding_learning_rate: theirs, where it is not to be the network's;
        `row_adagrad` wants about ten times that.
    embedding_l2, embedding_weight_decay: penalties on rows that were read, on the gradient and beside it.
    precision: of the network's products in training, `float32` or `bfloat16`. Weights, optimiser, loss, evaluation
        and prediction are float32 in any case.
    kernels: what computes in training on a CPU: `fused` runs AutoInt's layers (in bfloat16, with AVX512-BF16), the
        interactions of an architecture, and `row_adam` in kernels that are compiled on first use, `torch` runs
        everything in torch.
    micro_batch: rows of a batch that pass through the network at a time; their gradients add up to the batch's.
    allocator: `keep` has the C library keep freed memory for the next step (Linux on the CPU), `system` leaves it
        as it is.
    monitor: which validation metric decides on the best epoch. patience: epochs without a better one before
        training stops.
    checkpoint_minutes: a checkpoint is written after each epoch and after so many minutes within one.
    device: `cpu`, `cuda`, `cuda:1`, ...; `auto` takes a CUDA device where there is one.

    `auto` follows the written rule of `fieldwise.training.execution`, never a timing.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    epochs: int = Field(default=20, ge=1)
    batch_size: int = Field(default=1024, ge=1)
    learning_rate: float = Field(default=1e-3, gt=0)
    schedule: Literal["constant", "linear", "cosine"] = "constant"
    warmup_steps: int = Field(default=0, ge=0)
    clip_norm: float | None = Field(default=None, gt=0)
    embedding_optimizer: Literal["auto", "adam", "row_adam", "row_adagrad"] = "auto"
    embedding_learning_rate: float | None = Field(default=None, gt=0)
    embedding_l2: float = Field(default=0.0, ge=0)
    embedding_weight_decay: float = Field(default=0.0, ge=0)
    precision: Literal["auto", "float32", "bfloat16"] = "auto"
    kernels: Literal["auto", "fused", "torch"] = "auto"
    micro_batch: Literal["auto"] | Annotated[int, Field(ge=1)] = "auto"
    allocator: Literal["auto", "keep", "system"] = "auto"
    monitor: Literal["log_loss", "auc"] = "log_loss"
    patience: int = Field(default=2, ge=1)
    checkpoint_minutes: float = Field(default=10.0, ge=0)
    device: str = "auto"


class SearchSettings(BaseModel):
    """How interactions are searched (`fieldwise.recipes.search`; AIM, arXiv 2111.03318).

    Args:
        orders: 2 alone, or 2, 3, ... up to the highest order wanted.
        functions: Interaction functions to choose from; None for all that are registered.
        embedding_sizes: Whether embedding dimensions are searched afterwards.
        share_dimensions: One gate per field and dimension for all functions, as in the paper; else one for each
            function, as in the authors' code.
        shared_embedding: One embedding per order for all functions instead of one for each.
        epochs: Over the training rows, in each stage; `auto` takes one, or as many (up to 10) as give 400 steps.
        batch_size: Rows per step; None for that of training, or fewer where data are small: a hundredth of the rows,
            but 128 at least.
        learning_rate: Adam's; `auto` is 2 / steps, between 1e-3 and 5e-3.
        gate_learning_rate: GRDA's.
        threshold: What the gates' threshold grows to in a stage. Gates begin at 0.6: one that the data do not move
            ends at zero where the threshold is larger. A higher one keeps fewer.
        dimension_threshold: The same, of embedding dimensions.
        mu, dimension_mu: How the threshold grows, as steps^mu.
        c, dimension_c: GRDA's constants as the papers tell them; None chooses them by the threshold.
        top: How many interactions of order p - 1 of each function the candidates of order p come from; None takes
            half as many as there are fields.
        max_tuples: Up to so many field tuples of an order are all candidates instead.
        functions_per_tuple: Of the functions that a field tuple keeps, so many of the strongest stay; None for all.
        max_interactions: Keep the strongest of them only.
        time_budget: Seconds for search and training together.

    >>> SearchSettings(orders=(2, 3), epochs=1).threshold
    0.8
    """

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    orders: tuple[int, ...] = (2,)
    functions: tuple[str, ...] | None = None
    embedding_sizes: bool = True
    share_dimensions: bool = False
    shared_embedding: bool = False
    epochs: Literal["auto"] | Annotated[int, Field(ge=1)] = "auto"
    batch_size: Annotated[int, Field(ge=2)] | None = None
    learning_rate: Literal["auto"] | Annotated[float, Field(gt=0)] = "auto"
    gate_learning_rate: float = Field(default=0.1, gt=0)
    threshold: float = Field(default=0.8, ge=0)
    dimension_threshold: float = Field(default=0.61, ge=0)
    mu: float = Field(default=0.6, ge=0, le=1)
    dimension_mu: float = Field(default=0.6, ge=0, le=1)
    c: float | None = Field(default=None, ge=0)
    dimension_c: float | None = Field(default=None, ge=0)
    top: Annotated[int, Field(ge=1)] | None = None
    max_tuples: int = Field(default=1000, ge=0)
    functions_per_tuple: Annotated[int, Field(ge=1)] | None = None
    max_interactions: Annotated[int, Field(ge=0)] | None = None
    time_budget: float | None = Field(default=None, gt=0)

    @field_validator("orders", "functions", mode="before")
    @classmethod
    def _listed(cls, value: Any) -> Any:
        """A single one need not be a list."""
        return (value,) if isinstance(value, int | str) else value

    @field_validator("orders")
    @classmethod
    def _consecutive(cls, orders: tuple[int, ...]) -> tuple[int, ...]:
        if orders != tuple(range(2, 2 + len(orders))) or not orders or len(orders) > 7:
            raise ValueError("orders build on one another: 2, or 2,3, or 2,3,4, ...")
        return orders


class Settings(BaseModel):
    """All settings of a run, complete: what is not said stands at its default.

    model: a registered name. preset: a named set of model settings, or None.
    model_settings: every setting of the model. search: of models that search for interactions, else None.
    seed: decides split, initial weights, order of rows and dropout.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    model: str
    preset: str | None = None
    model_settings: dict[str, Any]
    training: TrainingSettings = TrainingSettings()
    data: DataSettings = DataSettings()
    search: SearchSettings | None = None
    seed: int = Field(default=0, ge=0)

    @model_validator(mode="before")
    @classmethod
    def _of_today(cls, document: Any) -> Any:
        return with_new_names(document) if isinstance(document, dict) else document

    @property
    def wants_search(self) -> bool:
        """Whether training begins with a search: the model is one that searches, and has nothing to build from yet."""
        return self.search is not None and self.model_settings.get("architecture") is None

    def with_training(self, training: TrainingSettings) -> Settings:
        """The same settings with others for training."""
        return self.model_copy(update={"training": training})


def new_name(name: str) -> str:
    """Today's name of a setting; says so in the log where another one was given.

    Args:
        name: Dotted.

    >>> new_name("search.passes"), new_name("search.top")
    ('search.epochs', 'search.top')
    """
    new = OLD_NAMES.get(name)
    if new is None:
        return name
    _log.warning("the setting %s is now called %s", name, new)
    return new


def with_new_names(document: Mapping[str, Any]) -> dict[str, Any]:
    """Saved settings in today's words: with the new names of settings (`OLD_NAMES`), an architecture among them too.

    Args:
        document: Section -> name -> value. Whatever looks different stays as it is, and so does an old name beside
            today's: that a document says both is for its validation to refuse.

    >>> with_new_names({"search": {"passes": 2, "top": 3}})
    {'search': {'epochs': 2, 'top': 3}}
    """
    renamed = dict(document)
    for old, new in OLD_NAMES.items():
        (section, old_name), (_, today) = old.split("."), new.split(".")
        settings = renamed.get(section)
        if isinstance(settings, Mapping) and old_name in settings and today not in settings:
            renamed[section] = {today if name == old_name else name: value for name, value in settings.items()}
    of_model = renamed.get("model_settings")
    if isinstance(of_model, Mapping) and "architecture" in of_model:
        renamed["model_settings"] = {**of_model, "architecture": upgrade(of_model["architecture"])}
    return renamed


def resolve_settings(
    *,
    model: str | None = None,
    config: str | Path | None = None,
    overrides: Mapping[str, Any] | None = None,
    seed: int | None = None,
) -> Settings:
    """Complete settings from a model's name, a TOML file and single overrides, the later ones winning.

    Args:
        model: A registered name; default `autoint`.
        config: A TOML file with the sections [model] (with `name` and `preset`), [training], [data] and, for a model
            that searches, [search], and with `seed`. A relative path in it, such as that of an architecture, is looked
            for beside the file first.
        overrides: Names such as `training.epochs`, `model.num_heads` or `data.min_count`, or the last part alone
            where only one section knows it. Old names (`OLD_NAMES`) are understood here and in the file.
        seed: Of the run.

    Raises:
        SettingsError: For an unknown or ambiguous name or a value of the wrong kind; it names the setting.

    >>> settings = resolve_settings(model="aim", overrides={"training.epochs": 3, "search.threshold": 0.7})
    >>> settings.training.epochs, settings.search.threshold
    (3, 0.7)
    """
    from fieldwise.models import registry

    sections: dict[str, dict[str, Any]] = {"model": {}, "training": {}, "data": {}, "search": {}}
    top: dict[str, Any] = {}
    if config is not None:
        for name, value in _read_toml(Path(config)).items():
            if name in sections and isinstance(value, dict):
                sections[name].update(value)
            elif name == "seed":
                top["seed"] = value
            else:
                raise SettingsError(f"{config}: unknown entry '{name}'; {suggest(name, [*sections, 'seed'])}")
    # The model decides which further names are known, so it is settled first.
    overrides = dict(overrides or {})
    named = overrides.pop("model", None) or overrides.pop("model.name", None) or model
    model = str(named or sections["model"].get("name") or "autoint")
    sections["model"].pop("name", None)
    if config is not None:
        sections["model"] = registry.look_beside(Path(config), model, sections["model"])
    names = {
        "model": {*registry.settings_model(model).model_fields, "preset"},
        "training": set(TrainingSettings.model_fields),
        "data": set(DataSettings.model_fields),
        "search": set(SearchSettings.model_fields),
    }
    searches = registry.search_defaults(model)
    if searches is None:
        del names["search"]
        sections.pop("search")
    for section in names.keys() - {"model"}:
        sections[section] = _with_new_names(section, sections[section], config)
    for name, value in overrides.items():
        if name == "seed":
            top["seed"] = value
            continue
        section, setting = _locate(name, names)
        sections[section][setting] = value
    if seed is not None:
        top["seed"] = seed
    for section in names.keys() - {"model"}:
        for name in sections[section]:
            _require_known(f"{section}.{name}", name, names[section])
    preset = sections["model"].pop("preset", None)
    try:
        return Settings(
            model=model,
            preset=preset,
            model_settings=registry.resolve(model, preset=preset, settings=sections["model"]),
            training=TrainingSettings(**sections["training"]),
            data=DataSettings(**sections["data"]),
            search=None if searches is None else SearchSettings(**{**searches, **sections["search"]}),
            **top,
        )
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = f"{error.title.removesuffix('Settings').lower()}.{'.'.join(map(str, first['loc']))}".lstrip(".")
        message = first["msg"].removeprefix("Value error, ")
        raise SettingsError(f"setting '{where}': got {first['input']!r}; {message}") from error


def parse_override(text: str) -> tuple[str, Any]:
    """Read `name=value` as it is typed on the command line: numbers, true/false, none, lists as `400,400`.

    Raises SettingsError where there is no `=`.
    """
    name, equals, value = text.partition("=")
    if not equals or not name.strip():
        raise SettingsError(f"--set {text}: expected NAME=VALUE, for example --set training.epochs=3")
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
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise SettingsError(f"cannot read the settings file {path}: {error.strerror}") from error
    except ValueError as error:
        raise SettingsError(f"{path} is not valid TOML: {error}") from error


def _locate(name: str, names: Mapping[str, set[str]]) -> tuple[str, str]:
    """The section and the setting that a dotted or bare name means."""
    section, dot, setting = name.partition(".")
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
    raise SettingsError(f"unknown setting '{name}'; {suggest(name, {'seed'}.union(*names.values()))}")


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
