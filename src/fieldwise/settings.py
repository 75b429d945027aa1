"""Settings: everything that may be chosen about a run, typed, with the names that the field uses.

They come from defaults, then a TOML file, then single overrides (`--set model.num_heads=4`); the same grammar
serves Python and the command line. An unknown name is an error that suggests the nearest known one.
"""

from __future__ import annotations

import json
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from fieldwise.data.splits import SplitMethod
from fieldwise.errors import SettingsError, suggest


class DataSettings(BaseModel):
    """How rows become training, validation and test rows, and tokens become ids.

    min_count: tokens seen less often in training share their field's out-of-vocabulary (OOV) id with tokens never
        seen. At the default 2 these are the tokens seen once, the best evidence there is of what a new one does.
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

    orders: 2 alone, or 2, 3, ... up to the highest order wanted. functions: interaction functions to choose from; None
        for all that are registered.
    embedding_sizes: whether embedding positions are searched afterwards. share_positions: one gate per field and
        position for all functions, as in the paper; else one for each function, as in the authors' code.
    shared_embedding: one embedding per order for all functions instead of one for each.
    passes: over the training rows, in each stage; `auto` takes one, or as many (up to 10) as give 400 steps.
    batch_size: rows per step; None for that of training, or fewer where data are small: a hundredth of the rows, but
        128 at least.
    learning_rate: Adam's; `auto` is 2 / steps, between 1e-3 and 5e-3. gate_learning_rate: GRDA's.
    threshold: what the gates' threshold grows to in a stage. Gates begin at 0.6: one that the data do not move ends at
        zero where the threshold is larger. A higher one keeps fewer. position_threshold: of embedding positions.
    mu, position_mu: how the threshold grows, as steps^mu. c, position_c: GRDA's constants as the papers tell them; None
        chooses them by the threshold.
    top: how many interactions of order p - 1 of each function the candidates of order p come from; None takes half as
        many as there are fields. max_tuples: up to so many field tuples of an order are all candidates instead.
    functions_per_tuple: of the functions that a field tuple keeps, so many of the strongest stay; None for all.
    max_interactions: keep the strongest of them only. time_budget: seconds for search and training together.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    orders: tuple[int, ...] = (2,)
    functions: tuple[str, ...] | None = None
    embedding_sizes: bool = True
    share_positions: bool = False
    shared_embedding: bool = False
    passes: Literal["auto"] | Annotated[int, Field(ge=1)] = "auto"
    batch_size: Annotated[int, Field(ge=2)] | None = None
    learning_rate: Literal["auto"] | Annotated[float, Field(gt=0)] = "auto"
    gate_learning_rate: float = Field(default=0.1, gt=0)
    threshold: float = Field(default=0.8, ge=0)
    position_threshold: float = Field(default=0.61, ge=0)
    mu: float = Field(default=0.6, ge=0, le=1)
    position_mu: float = Field(default=0.6, ge=0, le=1)
    c: float | None = Field(default=None, ge=0)
    position_c: float | None = Field(default=None, ge=0)
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

    @property
    def wants_search(self) -> bool:
        """Whether training begins with a search: the model is one that searches, and has nothing to build from yet."""
        return self.search is not None and self.model_settings.get("architecture") is None

    def with_training(self, training: TrainingSettings) -> Settings:
        """The same settings with others for training."""
        return self.model_copy(update={"training": training})


def resolve_settings(
    *,
    model: str | None = None,
    config: str | Path | None = None,
    overrides: Mapping[str, Any] | None = None,
    seed: int | None = None,
) -> Settings:
    """Complete settings from a model's name, a TOML file and single overrides, the later ones winning.

    overrides: names such as `training.epochs`, `model.num_heads` or `data.min_count`, or the last part alone
        where only one section knows it. The file has the sections [model] (with `name` and `preset`),
        [training], [data] and, for a model that searches, [search], and `seed`.
    Raises SettingsError, naming the setting, for an unknown or ambiguous name or a value of the wrong kind.
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
    chosen = str(named or sections["model"].get("name") or "autoint")
    sections["model"].pop("name", None)
    known = {
        "model": {*registry.settings_model(chosen).model_fields, "preset"},
        "training": set(TrainingSettings.model_fields),
        "data": set(DataSettings.model_fields),
        "search": set(SearchSettings.model_fields),
    }
    searches = registry.search_defaults(chosen)
    if searches is None:
        del known["search"]
        sections.pop("search")
    for name, value in overrides.items():
        if name == "seed":
            top["seed"] = value
            continue
        section, setting = _locate(name, known)
        sections[section][setting] = value
    if seed is not None:
        top["seed"] = seed
    for section in known.keys() - {"model"}:
        for name in sections[section]:
            _require_known(f"{section}.{name}", name, known[section])
    preset = sections["model"].pop("preset", None)
    try:
        return Settings(
            model=chosen,
            preset=preset,
            model_settings=registry.resolve(chosen, preset=preset, settings=sections["model"]),
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


def _locate(name: str, known: Mapping[str, set[str]]) -> tuple[str, str]:
    """The section and the setting that a dotted or bare name means."""
    section, dot, setting = name.partition(".")
    if dot:
        if section not in known:
            raise SettingsError(f"unknown setting '{name}'; {suggest(section, known)}")
        _require_known(name, setting, known[section])
        return section, setting
    owners = [section for section, names in known.items() if name in names]
    if len(owners) > 1 and "search" in owners:
        owners.remove("search")  # what the search has of its own in place of training's is said in full
    if len(owners) > 1:
        raise SettingsError(f"'{name}' is ambiguous; say {' or '.join(f'{o}.{name}' for o in owners)}")
    if not owners:
        raise SettingsError(f"unknown setting '{name}'; {suggest(name, {'seed'}.union(*known.values()))}")
    return owners[0], name


def _require_known(name: str, setting: str, known: set[str]) -> None:
    if setting not in known:
        raise SettingsError(f"unknown setting '{name}'; {suggest(setting, known)}")
