"""Settings as documents: everything that may be chosen about a run, typed, with the names that the field uses."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal

from pydantic import ConfigDict, Field, field_validator, model_validator

from fieldwise.data.splits import SplitMethod
from fieldwise.settings.names import with_new_names
from fieldwise.validation import Document

MOST_COMBINED = 3
FieldNames = Annotated[tuple[str, ...], Field(min_length=1, max_length=MOST_COMBINED)]
"""Of one combination."""


class DataSettings(Document):
    """How rows become training, validation and test rows, and tokens become ids.

    Attributes:
        min_count: tokens seen less often in training share their field's OOV id with tokens never seen. At the
            default 2 these are the tokens seen once, which are the best evidence there is of what a new one does.
        split: how rows are divided, `stratified` and `random` by the run's seed, `time` by the time column; the default
            is `time` where the schema has a time column, else `stratified`.
        valid_fraction: share of the rows that validate, where no validation file is given.
        test_fraction: share of the rows that test, where no test file is given.
        combinations: of which fields the model is given the click rate and the number of rows with the same values, in
            training from other rows alone: `auto` chooses up to 100 combinations of up to three fields, a list such as
            `[["site", "device"], ["user"]]` names them, `off` has none.

    Example:
        >>> DataSettings(min_count=1).valid_fraction
        0.1
    """

    entries: ClassVar[str] = "setting"
    section: ClassVar[str] = "data"
    model_config = ConfigDict(extra="forbid", frozen=True)

    min_count: int = Field(default=2, ge=1)
    split: SplitMethod | None = None
    valid_fraction: float = Field(default=0.1, ge=0, lt=1)
    test_fraction: float = Field(default=0.1, ge=0, lt=1)
    combinations: Literal["auto", "off"] | tuple[FieldNames, ...] = "off"

    @field_validator("combinations", mode="before")
    @classmethod
    def _of_fields(cls, value: Any) -> Any:
        """The same fields in another order are the same combination."""
        if value in ("auto", "off"):
            return value
        if not isinstance(value, list | tuple) or not all(isinstance(each, list | tuple) for each in value):
            raise ValueError('it must be auto, off or a list of combinations such as [["site", "device"], ["user"]]')
        for names in value:
            if not 1 <= len(names) <= MOST_COMBINED or not all(isinstance(name, str) for name in names):
                raise ValueError(f"a combination has one to {MOST_COMBINED} names of fields")
            if len(set(names)) < len(names):
                raise ValueError("a combination names a field twice")
        if len(set(map(frozenset, value))) < len(value):
            raise ValueError("a combination is named twice")
        return value


class TrainingSettings(Document):
    """How a network is trained.

    `auto` follows the written rule of `fieldwise.training.execution`, never a timing.

    Attributes:
        epochs: passes over the training rows at most; early stopping usually ends sooner.
        batch_size: rows per step; `auto` takes 1024, or fewer where there are fewer than 12,288 training rows.
        learning_rate: of Adam, at its highest.
        schedule: `constant`; `plateau`, a tenth after every epoch that was not better on the validation rows than the
            best one before; or a fall to zero over all epochs, `linear` or `cosine`.
        warmup_steps: steps over which the learning rate rises to its full value first.
        clip_norm: the gradient is scaled down to this norm where it is larger; None does not clip.
        embedding_optimizer: what moves the embedding tables: `adam` over whole tables, `row_adam` and `row_adagrad`
            over the rows that a batch has read.
        embedding_learning_rate: of the embedding tables, where it is not to be the network's; `row_adagrad` wants about
            ten times that.
        embedding_l2: penalty on the squares of embeddings that were read, added to the gradient.
        embedding_weight_decay: penalty on embeddings that were read, which shrinks them beside the gradient.
        precision: in which the network multiplies in training, `float32` or `bfloat16`. Weights, optimiser, loss,
            evaluation and prediction are float32 in any case.
        kernels: what computes in training on a CPU: `fused` runs AutoInt's layers (in bfloat16, with AVX512-BF16), the
            interactions of an architecture, and `row_adam` in kernels that are compiled on first use, `torch` runs
            everything in torch.
        micro_batch: rows of a batch that pass through the network at a time; their gradients add up to the batch's.
        allocator: `keep` has the C library keep freed memory for the next step (Linux on the CPU), `system` leaves it
            as it is.
        monitor: which validation metric decides on the best epoch; `auto` takes the objective's own: log loss of
            clicks, RMSE of numbers.
        patience: epochs without a better one before training stops.
        checkpoint_minutes: a checkpoint is written after each epoch and after so many minutes within one.
        device: what computes, `cpu`, `cuda`, `cuda:1`, ...; `auto` takes a CUDA device where there is one.

    Example:
        >>> TrainingSettings(epochs=3, schedule="cosine").patience
        2
    """

    entries: ClassVar[str] = "setting"
    section: ClassVar[str] = "training"
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    epochs: int = Field(default=20, ge=1)
    batch_size: Literal["auto"] | Annotated[int, Field(ge=1)] = "auto"
    learning_rate: float = Field(default=1e-3, gt=0)
    schedule: Literal["constant", "plateau", "linear", "cosine"] = "constant"
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
    monitor: Literal["auto", "log_loss", "auc", "rmse", "mae"] = "auto"
    patience: int = Field(default=2, ge=1)
    checkpoint_minutes: float = Field(default=10.0, ge=0)
    device: str = "auto"

    @property
    def rows_per_step(self) -> int:
        """`batch_size` once it is settled."""
        assert isinstance(self.batch_size, int), "batch_size is not settled"
        return self.batch_size


class SearchSettings(Document):
    """How interactions are searched (`fieldwise.recipes.search`; AIM, arXiv 2111.03318).

    Attributes:
        orders: 2 alone, or 2, 3, ... up to the highest order wanted.
        functions: interaction functions to choose from; None for all that are registered.
        embedding_sizes: whether embedding dimensions are searched afterwards.
        share_dimensions: one gate per field and dimension for all functions, as in the paper; else one for each
            function, as in the authors' code.
        shared_embedding: one embedding per order for all functions instead of one for each.
        epochs: passes over the training rows in each stage; `auto` takes one, or as many (up to 10) as give 400 steps.
        batch_size: rows per step; None for that of training, or fewer where data are small: a hundredth of the rows,
            but 128 at least.
        learning_rate: of Adam; `auto` is 2 / steps, between 1e-3 and 5e-3.
        gate_learning_rate: of GRDA, the optimiser of the gates.
        dimension_gate_learning_rate: of GRDA for the gates of embedding dimensions; None takes `gate_learning_rate`.
        threshold: what the gates' threshold grows to in a stage. Gates begin at 0.6: one that the data do not move
            ends at zero where the threshold is larger. A higher one keeps fewer.
        dimension_threshold: `threshold` of embedding dimensions.
        mu: how the threshold grows, as steps^mu.
        dimension_mu: `mu` of embedding dimensions.
        c: GRDA's constant as the papers tell it; None chooses it by the threshold.
        dimension_c: `c` of embedding dimensions.
        top: how many interactions of order p - 1 of each function the candidates of order p come from; None takes
            half as many as there are fields.
        max_tuples: up to so many field tuples of an order are all candidates instead.
        functions_per_tuple: of the functions that a field tuple keeps, so many of the strongest stay; None for all.
        max_interactions: of all interactions found, so many of the strongest stay; None for all.
        time_budget: seconds for search and training together.

    Example:
        >>> SearchSettings(orders=(2, 3), epochs=1).threshold
        0.8
    """

    entries: ClassVar[str] = "setting"
    section: ClassVar[str] = "search"
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
    dimension_gate_learning_rate: float | None = Field(default=None, gt=0)
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


class Settings(Document):
    """All settings of a run, complete: what is not said stands at its default.

    `fieldwise.settings.resolve_settings` makes them from names, a file and single settings.

    Attributes:
        model: a registered network, or `lightgbm` or `catboost`, for which `training` plays no part.
        preset: a named set of model settings, such as a paper's; None for the defaults.
        model_settings: every setting of the model.
        training: of a network.
        data: how rows are split and tokens become ids.
        search: of models that search for interactions, else None.
        objective: what the label is: `binary` (clicks) or `regression` (numbers).
        seed: decides split, initial weights, order of rows and dropout.

    Example:
        >>> settings = Settings(model="lr", model_settings={}, seed=7)
        >>> settings.wants_search, settings.by_name()["training.epochs"]
        (False, 20)
    """

    entries: ClassVar[str] = "setting"
    model_config = ConfigDict(extra="forbid", frozen=True)

    model: str
    preset: str | None = None
    model_settings: dict[str, Any]
    training: TrainingSettings = TrainingSettings()
    data: DataSettings = DataSettings()
    search: SearchSettings | None = None
    objective: str = "binary"
    seed: int = Field(default=0, ge=0)

    @model_validator(mode="before")
    @classmethod
    def _of_today(cls, document: Any) -> Any:
        return with_new_names(document) if isinstance(document, dict) else document

    @property
    def wants_search(self) -> bool:
        """Whether training begins with a search: the model is one that searches, and has nothing to build from yet."""
        return self.search is not None and self.model_settings.get("architecture") is None

    def by_name(self) -> dict[str, Any]:
        """Every setting by the dotted name that users know, such as `training.epochs`; ready for JSON."""
        sections = self.model_dump(mode="json")
        named = {"model.name": sections.pop("model"), "model.preset": sections.pop("preset")}
        sections["model"] = sections.pop("model_settings")
        for section, value in sections.items():
            named |= {f"{section}.{n}": v for n, v in value.items()} if isinstance(value, dict) else {section: value}
        return named

    def with_training(self, training: TrainingSettings) -> Settings:
        """The same settings with others for training.

        Args:
            training: the others.

        Returns:
            New settings.
        """
        return self.model_copy(update={"training": training})
