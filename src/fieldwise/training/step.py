"""Step: moves the weights by one batch. Training on many machines gives the Trainer another one.

The rows of a batch pass through the network in parts that fit the cache, in the precision and by the kernels that the
settings name; the gradients of the parts add up; tables are moved by an optimiser that knows which rows were read.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn

from fieldwise.data.batch import Batch
from fieldwise.models.base import CTRModel
from fieldwise.native.memory import use_huge_pages
from fieldwise.native.switch import fused_kernels
from fieldwise.objectives import Binary, Objective
from fieldwise.optim.rows import RowOptimizer, clip_gradients, join_gradients
from fieldwise.settings import TrainingSettings
from fieldwise.training.execution import settle
from fieldwise.training.optimizers import GateTraining, embedding_tables, make_optimizers


class Step:
    """Moves the weights of a model by one batch: `step(batch, rate)`.

    Args:
        model: What is trained. It is moved to the device of the settings.
        settings: `auto` in them is settled for this model and machine (`fieldwise.training.execution`).
        objective: What the model's output means; by default the probability of a click.
        gates: What GRDA moves instead of Adam, in a search.

    Attributes:
        model: The model, on its device.
        settings: What the settings came to.
        objective: As given.
        optimizers: `network`, `tables` and `gates`, those that have something to move.
        tables: The embedding tables of the model, [V, D] each.
        device: Where the model is, and batches must be.

    Raises:
        TrainingError: For a device or kernels that cannot be had.

    Example:
        >>> from fieldwise.layout import FieldLayout, Layout
        >>> from fieldwise.models import build
        >>> step = Step(build("lr", Layout((FieldLayout("user", "categorical", 9),))))
        >>> batch = Batch(torch.tensor([[2], [3]]), torch.empty(2, 0), label=torch.tensor([0.0, 1.0]))
        >>> losses = [float(step(batch.to(step.device), 0.1)) for _ in range(3)]
        >>> losses[0] > losses[1] > losses[2]
        True
    """

    def __init__(
        self,
        model: CTRModel,
        *,
        settings: TrainingSettings | None = None,
        objective: Objective | None = None,
        gates: GateTraining | None = None,
    ) -> None:
        self.objective: Objective = objective or Binary()
        self.settings = settle(settings or TrainingSettings(), model, type(self.objective))
        self.device = torch.device(self.settings.device)
        self.model = model.to(self.device)
        self.tables = embedding_tables(self.model)
        for table in self.tables:
            use_huge_pages(table)
        self.optimizers = make_optimizers(self.model, self.settings, gates)
        # Each optimiser's learning rate as a multiple of the network's.
        self._factors = {name: group["lr"] / self.settings.learning_rate for name, group in self._groups()}

    def __call__(self, batch: Batch, rate: float) -> Tensor:
        """Move the weights by one batch.

        Args:
            batch: Rows with labels, on the step's device.
            rate: The network's learning rate; those of tables and gates keep their ratio to it.

        Returns:
            The batch's mean loss before the step, a scalar without a gradient.
        """
        for name, group in self._groups():
            group["lr"] = rate * self._factors[name]
        loss = self.backward(batch)
        if self.settings.clip_norm is not None:
            self._clip(self.settings.clip_norm)
        for optimizer in self.optimizers.values():
            optimizer.step()
        return loss

    def backward(self, batch: Batch) -> Tensor:
        """The batch's mean loss; its gradients, in place of those that were there, are the weights' `grad`.

        Gradients of tables are sparse: row numbers [n], repeated as often as the batch has read them, and their
        gradients [n, D].

        Args:
            batch: Rows with labels, on the step's device.

        Returns:
            A scalar without a gradient.
        """
        assert isinstance(self.settings.micro_batch, int)
        for optimizer in self.optimizers.values():
            optimizer.zero_grad(set_to_none=True)
        total = torch.zeros((), device=self.device)
        collected: dict[nn.Parameter, list[Tensor]] = {table: [] for table in self.tables}
        for part in batch.split(self.settings.micro_batch):
            assert part.label is not None
            with (
                fused_kernels(self.settings.kernels == "fused"),
                torch.autocast(
                    self.device.type, torch.bfloat16, enabled=self.settings.precision == "bfloat16", cache_enabled=False
                ),
            ):
                outputs = self.model.training_outputs(part)
            logits = [output.float() for output in outputs]
            loss = self.model.training_loss(logits, part.label, part.weight, self.objective) * _share(part, batch)
            loss.backward()  # type: ignore[no-untyped-call]
            total += loss.detach()
            for table, gradients in collected.items():
                if table.grad is not None and table.grad.is_sparse:
                    gradients.append(table.grad)
                    table.grad = None
        for table, gradients in collected.items():
            if gradients:
                table.grad = join_gradients(gradients)
        return total

    def _clip(self, max_norm: float) -> None:
        """Scale the gradients of network and tables down to a common norm."""
        tables = self.optimizers.get("tables")
        network = [
            weight.grad
            for name, group in self._groups()
            if name == "network"
            for weight in group["params"]
            if weight.grad is not None
        ]
        rows = tables.sum_repeated() if isinstance(tables, RowOptimizer) else []
        clip_gradients([*network, *rows], max_norm)

    def _groups(self) -> Iterator[tuple[str, dict[str, Any]]]:
        """The parameter groups, with the names of their optimisers."""
        for name, optimizer in self.optimizers.items():
            for group in optimizer.param_groups:
                yield name, group


def _share(part: Batch, batch: Batch) -> Tensor | float:
    """The weight of a part's mean loss in the mean loss of its batch."""
    if part.weight is None or batch.weight is None:
        return len(part) / len(batch)
    return part.weight.sum() / batch.weight.sum().clamp_min(torch.finfo(torch.float32).tiny)
