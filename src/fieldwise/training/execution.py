"""How training steps are carried out on this machine: what `auto` in the training settings stands for.

Some of these choices change the last digits of the numbers, so they follow a rule over the model and the machine, never
a timing; the same machine always decides alike. What was decided is said once and kept with the run and the predictor.

    batch_size           the largest power of two that makes 12 steps of an epoch, but 128 at least and 1024 at most
    device               a CUDA device where there is one, else the CPU
    precision            bfloat16 where the device multiplies it in hardware (AMX or AVX512-BF16 on the CPU, compute
                         capability 8 on CUDA), else float32
    kernels              on the CPU fused where a C++ compiler has made or makes them and there is work for one:
                         interacting layers in bfloat16 (with AVX512-BF16), interactions of an architecture, or
                         row_adam; else torch
    embedding_optimizer  row_adam where the embedding tables have more than 8 rows for every id that a batch reads, else
                         adam: beyond that, walking whole tables costs more than finding the rows that were read
    micro_batch          on the CPU the model's own `rows_in_cache`, or 8192 with fused kernels, which keep their own
                         numbers in the cache; the whole batch where the model names none or normalises over the
                         batch; on CUDA the whole batch
    monitor              the objective's first metric
    allocator            keep on Linux with glibc and the CPU, else system
"""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from fieldwise.errors import SettingsError, TrainingError, suggest
from fieldwise.layers.embeddings import FieldEmbedding
from fieldwise.layers.interacting import InteractingLayer
from fieldwise.layers.interactions import Interactions
from fieldwise.models.base import CTRModel
from fieldwise.native import interacting as native
from fieldwise.native import rows as native_rows
from fieldwise.native import tuple_products as native_products
from fieldwise.native.memory import has_glibc, keep_freed_memory
from fieldwise.objectives import Binary, Objective
from fieldwise.settings import TrainingSettings
from fieldwise.wording import argument

LEAST_BATCH, MOST_BATCH, LEAST_STEPS = 128, 1024, 12
"""An epoch of one or two steps hardly moves the weights, and patience counts epochs; measured in docs/training.md."""

ROWS_PER_ID = 8
"""Table rows per id of a batch beyond which `row_adam` is chosen; measured in docs/results/speed.md."""

FUSED_ROWS = 8192
"""Rows that pass through fused kernels at once: more would save nothing and take more memory."""


def settle(
    settings: TrainingSettings, model: CTRModel, objective: type[Objective] = Binary, *, rows: int | None = None
) -> TrainingSettings:
    """The same settings with every `auto` replaced, for this model, this objective, these rows and this machine.

    Args:
        settings: As a user gives them.
        model: What will be trained; a sketch will do.
        objective: Of the run.
        rows: To train on; None stands for many.

    Raises:
        TrainingError: Where the device is not there, or fused kernels are asked for that cannot be had.
        SettingsError: Where the objective has no metric of the name that `monitor` gives.

    Example:
        >>> from fieldwise.layout import FieldLayout, Layout
        >>> from fieldwise.models import sketch
        >>> model = sketch("lr", Layout((FieldLayout("user", "categorical", 1_000_000),)))
        >>> settings = settle(TrainingSettings(device="cpu", kernels="torch", batch_size=512), model)
        >>> settings.embedding_optimizer, settings.monitor, settings.micro_batch
        ('row_adam', 'log_loss', 512)
    """
    device = resolve_device(settings.device)
    choices: dict[str, Any] = {"device": str(device)}
    batch = choices["batch_size"] = _batch_size(rows) if settings.batch_size == "auto" else settings.rows_per_step
    if settings.monitor == "auto":
        choices["monitor"] = next(iter(objective.monitors))
    elif settings.monitor not in objective.monitors:
        raise SettingsError(
            f"training.monitor: this objective has no metric '{settings.monitor}'; "
            f"{suggest(settings.monitor, objective.monitors)}"
        )
    if settings.precision == "auto":
        choices["precision"] = "bfloat16" if multiplies_bfloat16(device) else "float32"
    if settings.embedding_optimizer == "auto":
        tables = [module.table.num_embeddings for module in model.modules() if isinstance(module, FieldEmbedding)]
        ids = batch * max(1, len(model.layout.categorical) + len(model.layout.multi_valued))
        choices["embedding_optimizer"] = "row_adam" if max(tables, default=0) > ROWS_PER_ID * ids else "adam"
    no_layers: str | None = "torch was asked for"
    if settings.kernels != "torch":
        optimizer = choices.get("embedding_optimizer", settings.embedding_optimizer)
        no_layers = _why_no_fused_layers(choices.get("precision", settings.precision), device, model)
        reasons = [no_layers, *_why_no_other_kernels(optimizer, device, model)]
        if settings.kernels == "fused" and None not in reasons:
            raise TrainingError(
                f"fused kernels cannot be had: {reasons[-1]}. Without them: "
                f"{argument('settings', {'training.kernels': 'auto'})}"
            )
        choices["kernels"] = "fused" if None in reasons else "torch"
    if settings.allocator == "auto":
        choices["allocator"] = "keep" if device.type == "cpu" and has_glibc() else "system"
    part = batch
    if settings.micro_batch != "auto":
        part = min(part, settings.micro_batch)
    elif model.rows_in_cache is not None and device.type == "cpu" and not _normalises_over_batch(model):
        fused = choices.get("kernels", settings.kernels) == "fused" and no_layers is None
        part = min(part, FUSED_ROWS if fused else model.rows_in_cache)
    return settings.model_copy(update={**choices, "micro_batch": part})


def apply_process_settings(settings: TrainingSettings) -> None:
    """Set what the settings ask of the whole process: the allocator. It cannot be undone, and changes no number.

    Whoever trains calls this once, before the first step: `fieldwise.recipes` do, a Trainer does not.

    Args:
        settings: Without `auto`, as `settle` gives them; an allocator of `auto` is left as it is.
    """
    if settings.allocator == "keep":
        keep_freed_memory()


def reuse(settings: TrainingSettings, before: TrainingSettings) -> TrainingSettings:
    """The same settings with every `auto` replaced by what an earlier part of the run came to.

    Args:
        settings: As a user gives them.
        before: What they came to.
    """
    choices = {name: getattr(before, name) for name, value in settings if value == "auto"}
    return settings.model_copy(update=choices)


def _batch_size(rows: int | None) -> int:
    """The largest power of two that makes `LEAST_STEPS` steps of so many rows, within its bounds.

    >>> [_batch_size(rows) for rows in (None, 20_000, 12_288, 12_287, 2_000, 10)]
    [1024, 1024, 1024, 512, 128, 128]
    """
    if rows is None:
        return MOST_BATCH
    power = 1 << max(0, (rows // LEAST_STEPS).bit_length() - 1)
    return min(MOST_BATCH, max(LEAST_BATCH, power))


def describe(settings: TrainingSettings, *, threads: int | None = None) -> str:
    """The settled choices in one line.

    Args:
        settings: without `auto`.
        threads: that a CPU computes in; None leaves them out.

    Returns:
        The line.

    Example:
        >>> choices = {"device": "cpu", "precision": "float32", "kernels": "torch", "embedding_optimizer": "adam"}
        >>> describe(TrainingSettings(**choices, batch_size=512, micro_batch=512), threads=2)
        'training on cpu with 2 threads, batches of 512, float32 products, torch kernels, adam for the embeddings'
    """
    device = settings.device
    if threads is not None and device.startswith("cpu"):
        device += f" with {threads} thread{'s' if threads > 1 else ''}"
    batches = f"batches of {settings.batch_size}"
    if settings.micro_batch != settings.batch_size:
        batches += f" in parts of {settings.micro_batch}"
    parts = [device, batches, f"{settings.precision} products", f"{settings.kernels} kernels"]
    return f"training on {', '.join(parts)}, {settings.embedding_optimizer} for the embeddings"


def resolve_device(name: str) -> torch.device:
    """The device of a name; `auto` is a CUDA device where there is one.

    Raises:
        TrainingError: Where it is not there.
    """
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as error:
        raise TrainingError(f"device '{name}' cannot be used: {str(error).splitlines()[0]}") from error
    return device


def multiplies_bfloat16(device: torch.device) -> bool:
    """Whether a device multiplies bfloat16 matrices in hardware; elsewhere they are slower than float32."""
    if device.type == "cuda":
        return torch.cuda.get_device_capability(device) >= (8, 0)
    if device.type != "cpu":
        return False
    # What oneDNN itself asks; torch has no public name for it.
    return bool(torch.ops.mkldnn._is_mkldnn_bf16_supported() and torch.cpu._is_avx512_bf16_supported())


def _why_no_fused_layers(precision: str, device: torch.device, model: nn.Module) -> str | None:
    """Why the model's layers are not computed by a fused kernel here; None where they can be. May compile it."""
    if precision != "bfloat16":
        return f"they compute in bfloat16, and precision is {precision}"
    if device.type != "cpu":
        return f"they are for the CPU, and the device is {device}"
    if not any(isinstance(module, InteractingLayer) and module.has_fused_form for module in model.modules()):
        return "the model has no layer that they compute"
    return native.why_not()


def _why_no_other_kernels(optimizer: str, device: torch.device, model: nn.Module) -> list[str | None]:
    """For every other kernel that has work to do, why it cannot be had; None where it can. May compile them."""
    if device.type != "cpu":
        return []
    reasons = []
    if any(isinstance(module, Interactions) for module in model.modules()):
        reasons.append(native_products.why_not())
    if optimizer == "row_adam":
        reasons.append(native_rows.why_not())
    return reasons


def _normalises_over_batch(model: nn.Module) -> bool:
    return any(isinstance(module, nn.modules.batchnorm._BatchNorm) for module in model.modules())
