"""Trainer: fits a model to a data set, watches validation rows, and keeps the best weights.

A step in short: the rows of a batch pass through the network in parts that fit the cache, in the precision that the
plan names; the gradients of the parts add up; tables are moved by an optimiser that knows which rows were read.
"""

from __future__ import annotations

import math
import signal
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from fieldwise.data.batch import Batch
from fieldwise.data.dataset import Dataset
from fieldwise.data.loader import Feeder
from fieldwise.errors import TrainingError
from fieldwise.layers.embeddings import FieldEmbedding
from fieldwise.layout import Layout
from fieldwise.metrics import Metrics
from fieldwise.models.base import CTRModel
from fieldwise.native import rows as native
from fieldwise.native.memory import keep_freed_memory, use_huge_pages
from fieldwise.native.switch import fused_kernels
from fieldwise.objectives import Binary, Objective
from fieldwise.optim.grda import GRDA
from fieldwise.optim.rows import RowAdagrad, RowAdam, RowOptimizer, TableAdam, clip_gradients, join_gradients
from fieldwise.reporting import Progress, Reporter
from fieldwise.settings import TrainingSettings
from fieldwise.training.checkpoints import BestWeights, TrainingState, read_checkpoint, write_checkpoint
from fieldwise.training.evaluation import evaluate_model
from fieldwise.training.execution import describe, settle
from fieldwise.training.history import EpochRecord, History, header

TABLE_OPTIMIZERS: dict[str, type[TableAdam | RowAdam | RowAdagrad]] = {
    "adam": TableAdam,
    "row_adam": RowAdam,
    "row_adagrad": RowAdagrad,
}


@dataclass(frozen=True)
class GateTraining:
    """Weights that a search moves by GRDA, beside all others. learning_rate, c, mu: see `fieldwise.optim.grda`."""

    weights: Sequence[nn.Parameter]
    learning_rate: float
    c: float
    mu: float


class Trainer:
    """Trains by Adam with early stopping; after `fit` the model holds the weights of its best epoch.

    settings: `auto` in them is settled for this model and machine (`fieldwise.training.execution`); `self.settings`
        holds what it came to.

    The same seed, data and settings give the same weights on the same machine. Unseen and too rare tokens get
    their meaning before every evaluation (see `FieldEmbedding.fill_oov`).

    objective: what the model's output means; default: the probability of a click.
    checkpoint: a file to write after each epoch and every `settings.checkpoint_minutes`; `restore` reads it, and a
        run that is restored ends with the same weights, bit for bit, as one that was never stopped (on the same
        machine, with the same number of threads).
    gates: what GRDA moves; their learning rate follows the schedule of all others.
    Raises TrainingError where the loss is not a number, naming the rows and, where it can be told, the column.
    """

    def __init__(
        self,
        model: CTRModel,
        *,
        settings: TrainingSettings | None = None,
        objective: Objective | None = None,
        seed: int = 0,
        reporter: Reporter | None = None,
        checkpoint: Path | None = None,
        gates: GateTraining | None = None,
    ) -> None:
        self.settings = settle(settings or TrainingSettings(), model)
        if self.settings.allocator == "keep":
            keep_freed_memory()
        self.device = torch.device(self.settings.device)
        self.model = model.to(self.device)
        for table in self.tables:
            use_huge_pages(table)
        self.objective: Objective = objective or Binary()
        self.seed = seed
        self.reporter = reporter or Reporter(enabled=False)
        self.optimizers = _optimizers(self.model, self.settings, gates)
        # Each optimiser's learning rate as a multiple of the network's.
        self._factors = {name: group["lr"] / self.settings.learning_rate for name, group in self._groups()}
        self.state = TrainingState()
        self.checkpoint = checkpoint
        self._best = BestWeights(checkpoint)
        self._written = time.monotonic()
        self._random_states: dict[str, Tensor] | None = None
        self._stop = False

    def fit(self, train: Dataset, valid: Dataset | None = None) -> History:
        """Train on `train`; `valid` picks the best epoch, without it the last one counts.

        Ctrl-C ends training after the step under way and keeps the best weights so far (without an evaluation: the
        current ones); a second Ctrl-C does not wait for the step.
        """
        if not len(train):
            raise TrainingError("there are no rows to train on")
        self.reporter.say(describe(self.settings))
        self.reporter.say(header())
        for record in self.state.history.records:
            self.reporter.say(record.line(best=record.epoch == self.state.history.best_epoch))
        devices = [self.device] if self.device.type == "cuda" else []
        try:
            with torch.random.fork_rng(devices=devices), self._stopping_between_steps():
                torch.manual_seed(self.seed)
                if self._random_states is not None:
                    _set_random_states(self._random_states, self.device)
                self._run(train, valid)
        except KeyboardInterrupt:
            self.state.history.ended = "interrupted"
            self.reporter.say("interrupted: the best weights so far are kept")
        history = self.state.history
        # Without validation rows the last epoch is the best, and the model holds it.
        if history.best_epoch is not None and history.records[-1].valid_log_loss is not None:
            with torch.no_grad():
                self._best.restore(history.best_epoch, self.model.state_dict())
        self.model.eval()
        return history

    @property
    def tables(self) -> list[nn.Parameter]:
        """The embedding tables of the model, [V, D] each."""
        return _tables(self.model)

    def save(self, path: Path) -> None:
        """Write a checkpoint of the run as it stands. Raises TrainingError where it cannot be written."""
        tensors = {f"model.{name}": weight for name, weight in self.model.state_dict().items()}
        for owner, optimizer in self.optimizers.items():
            for i, moments in optimizer.state_dict()["state"].items():
                tensors |= {f"{owner}.{i}.{name}": moment for name, moment in moments.items()}
        tensors |= {f"random.{name}": state for name, state in _random_states(self.device).items()}
        write_checkpoint(path, self.state, tensors)
        self._best.remove_others(self.state.history.best_epoch)
        self._written = time.monotonic()

    def restore(self, path: Path) -> None:
        """Go on from a checkpoint of a run with the same model, settings, seed and data.

        Raises TrainingError where the file cannot be read or is of another model.
        """
        state, tensors = read_checkpoint(path)
        parts: dict[str, dict[str, Tensor]] = {}
        for name, tensor in tensors.items():
            part, _, rest = name.partition(".")
            parts.setdefault(part, {})[rest] = tensor
        try:
            self.model.load_state_dict(parts["model"])
            for owner, optimizer in self.optimizers.items():
                moments: dict[int, dict[str, Tensor]] = {}
                for name, tensor in parts.get(owner, {}).items():
                    i, _, moment = name.partition(".")
                    moments.setdefault(int(i), {})[moment] = tensor
                groups = optimizer.state_dict()["param_groups"]
                optimizer.load_state_dict({"state": moments, "param_groups": groups})
        except (RuntimeError, ValueError) as error:
            raise TrainingError(f"{path} is a checkpoint of another model: {str(error).splitlines()[0]}") from error
        self._random_states = parts["random"]
        self.state = state

    def _run(self, train: Dataset, valid: Dataset | None) -> None:
        state, settings = self.state, self.settings
        counts, feeder = train.id_counts(), Feeder(train, self.device)
        while not state.history.ended:
            with self.reporter.rows(len(train), f"epoch {state.epoch}", done=state.rows) as progress:
                self._train_epoch(train, feeder, progress)
            fill_oov(self.model, counts)
            metrics = None
            if valid is not None and len(valid):
                with self.reporter.rows(len(valid), "validation") as progress:
                    metrics = evaluate_model(self.model, valid, self.objective, progress=progress)
            self._finish_epoch(len(train), metrics)
            if state.waited >= settings.patience:
                state.history.ended = "early stop"
            elif len(state.history.records) >= settings.epochs:
                state.history.ended = "all epochs"
            if self.checkpoint is not None:
                self.save(self.checkpoint)

    def _train_epoch(self, train: Dataset, feeder: Feeder, progress: Progress) -> None:
        state, size = self.state, self.settings.batch_size
        # An order that follows from seed and epoch alone can be picked up again in the middle.
        order = np.random.default_rng([self.seed, state.epoch]).permutation(len(train))
        total_steps = self._total_steps(len(train))
        check_every = 1 if self.device.type == "cpu" else 50
        started = time.perf_counter() - state.seconds
        self.model.train()
        loss_sum = torch.tensor(state.loss_sum, dtype=torch.float64, device=self.device)
        while state.rows < len(train):
            if self._stop or self._checkpoint_is_due():
                state.loss_sum, state.seconds = loss_sum.item(), time.perf_counter() - started
                if self.checkpoint is not None:
                    self.save(self.checkpoint)
                if self._stop:
                    raise KeyboardInterrupt
            rows = order[state.rows : state.rows + size]
            batch = feeder.batch(rows)
            loss = self.step(batch, learning_rate(self.settings, state.step, total_steps))
            loss_sum += loss * len(rows)
            state.rows += len(rows)
            state.step += 1
            # Reading the loss waits for the device, so on a GPU it is read only now and then.
            if state.step % check_every == 0 or state.rows == len(train):
                state.loss_sum = loss_sum.item()
                if not math.isfinite(state.loss_sum):
                    raise TrainingError(self._explain_nan(train.layout, batch, rows))
            progress.update(len(rows))
        state.seconds = time.perf_counter() - started

    def step(self, batch: Batch, rate: float) -> Tensor:
        """Move the weights by one batch at a learning rate; its mean loss before that, a scalar without a gradient."""
        settings, tables = self.settings, self.optimizers.get("tables")
        for name, group in self._groups():
            group["lr"] = rate * self._factors[name]
        for optimizer in self.optimizers.values():
            optimizer.zero_grad(set_to_none=True)
        loss = self._backward(batch)
        if settings.clip_norm is not None:
            network = [
                weight.grad
                for name, group in self._groups()
                if name == "network"
                for weight in group["params"]
                if weight.grad is not None
            ]
            rows = tables.sum_repeated() if isinstance(tables, RowOptimizer) else []
            clip_gradients([*network, *rows], settings.clip_norm)
        for optimizer in self.optimizers.values():
            optimizer.step()
        return loss

    def _groups(self) -> Iterator[tuple[str, dict[str, Any]]]:
        """The parameter groups, with the names of their optimisers."""
        for name, optimizer in self.optimizers.items():
            for group in optimizer.param_groups:
                yield name, group

    def _backward(self, batch: Batch) -> Tensor:
        """The gradients of a batch's mean loss, summed over its parts, and that loss."""
        assert isinstance(self.settings.micro_batch, int)
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
                logit = self.model(part)
            loss = self.objective.loss(logit.float(), part.label, part.weight) * _share(part, batch)
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

    def _checkpoint_is_due(self) -> bool:
        waited = time.monotonic() - self._written
        return self.checkpoint is not None and waited >= 60 * self.settings.checkpoint_minutes

    @contextmanager
    def _stopping_between_steps(self) -> Iterator[None]:
        """Lets the first Ctrl-C wait for the end of a step, where the run can be taken up again exactly."""
        # Only the main thread may set signal handlers, and whoever has Ctrl-C ignored wants it ignored.
        if (
            threading.current_thread() is not threading.main_thread()
            or signal.getsignal(signal.SIGINT) is signal.SIG_IGN
        ):
            yield
            return

        def stop(number: int, frame: FrameType | None) -> None:
            if self._stop:
                raise KeyboardInterrupt
            self._stop = True

        previous = signal.signal(signal.SIGINT, stop)
        try:
            yield
        finally:
            signal.signal(signal.SIGINT, previous)

    def _finish_epoch(self, num_rows: int, metrics: Metrics | None) -> None:
        state = self.state
        record = EpochRecord(
            epoch=state.epoch,
            train_loss=state.loss_sum / num_rows,
            valid_log_loss=None if metrics is None else metrics.log_loss,
            valid_auc=None if metrics is None else metrics.auc,
            learning_rate=learning_rate(self.settings, state.step - 1, self._total_steps(num_rows)),
            rows_per_s=num_rows / max(state.seconds, 1e-9),
            seconds=state.seconds,
        )
        best = self._is_best(record)
        state.history.records.append(record)
        if best:
            state.history.best_epoch = state.epoch
            if metrics is not None:
                self._best.keep(state.epoch, self.model.state_dict())
        state.waited = 0 if best else state.waited + 1
        state.epoch, state.rows, state.loss_sum, state.seconds = state.epoch + 1, 0, 0.0, 0.0
        self.reporter.say(record.line(best=best))

    def _total_steps(self, num_rows: int) -> int:
        return math.ceil(num_rows / self.settings.batch_size) * self.settings.epochs

    def _is_best(self, record: EpochRecord) -> bool:
        history = self.state.history
        if history.best_epoch is None or record.valid_log_loss is None:
            return True
        best = history.records[history.best_epoch - 1]
        if self.settings.monitor == "auc" and record.valid_auc is not None and best.valid_auc is not None:
            return record.valid_auc > best.valid_auc
        assert best.valid_log_loss is not None
        return record.valid_log_loss < best.valid_log_loss

    def _explain_nan(self, layout: Layout, batch: Batch, rows: np.ndarray) -> str:
        where = f"the loss is not a number in epoch {self.state.epoch}, batch {self.state.rows // len(rows)} "
        where += f"(training rows {', '.join(str(row + 1) for row in rows[:3])}, …)"
        if batch.numeric.numel():
            largest = batch.numeric.abs().nan_to_num(0.0, posinf=math.inf).amax(dim=0)
            column = int(largest.argmax())
            if not largest[column] < 1e4:
                name = layout.fields[layout.numeric[column]].name
                return (
                    f"{where}; column '{name}' holds {largest[column]:.3g} after scaling: give it another "
                    f"transform, for example --field {name}=numeric and transform 'log' in the schema"
                )
        field = _broken_field(self.model)
        cause = f"; the embedding of column '{field}' is not finite" if field else ""
        return (
            f"{where}{cause}. Lower the learning rate (training.learning_rate, now "
            f"{self.settings.learning_rate:g}) or clip gradients (training.clip_norm=1)"
        )


def _random_states(device: torch.device) -> dict[str, Tensor]:
    states = {"cpu": torch.get_rng_state()}
    return states | {"cuda": torch.cuda.get_rng_state(device)} if device.type == "cuda" else states


def _set_random_states(states: dict[str, Tensor], device: torch.device) -> None:
    torch.set_rng_state(states["cpu"])
    if device.type == "cuda" and "cuda" in states:
        torch.cuda.set_rng_state(states["cuda"], device)


def learning_rate(settings: TrainingSettings, step: int, total_steps: int) -> float:
    """The learning rate of a step (from 0): a rise over `warmup_steps`, then the schedule down to the last step."""
    if step < settings.warmup_steps:
        return settings.learning_rate * (step + 1) / settings.warmup_steps
    if settings.schedule == "constant":
        return settings.learning_rate
    done = (step - settings.warmup_steps) / max(total_steps - settings.warmup_steps, 1)
    share = 1 - done if settings.schedule == "linear" else (1 + math.cos(math.pi * done)) / 2
    return settings.learning_rate * share


def fill_oov(model: nn.Module, counts: Tensor) -> tuple[int, ...]:
    """Give the out-of-vocabulary (OOV) id a meaning in all embedding tables of a model; the fields that needed it."""
    fields: set[int] = set()
    for module in model.modules():
        if isinstance(module, FieldEmbedding):
            fields.update(module.fill_oov(counts))
    return tuple(sorted(fields))


def _tables(model: nn.Module) -> list[nn.Parameter]:
    """The embedding tables of a model, whose gradients name the rows that were read."""
    tables = [module.table.weight for module in model.modules() if isinstance(module, FieldEmbedding)]
    return [table for table in tables if isinstance(table, nn.Parameter)]


def _network_parameters(model: nn.Module) -> list[nn.Parameter]:
    """All other weights."""
    tables = {id(table) for table in _tables(model)}
    return [p for p in model.parameters() if p.requires_grad and id(p) not in tables]


def _optimizers(
    model: nn.Module, settings: TrainingSettings, gates: GateTraining | None
) -> dict[str, torch.optim.Optimizer]:
    """Optimisers for network, embedding tables and searched gates, by name, where there is something to move."""
    optimizers: dict[str, torch.optim.Optimizer] = {}
    searched: set[int] = set()
    if gates is not None:
        searched = {id(weight) for weight in gates.weights}
        optimizers["gates"] = GRDA(gates.weights, lr=gates.learning_rate, c=gates.c, mu=gates.mu)
    if network := [weight for weight in _network_parameters(model) if id(weight) not in searched]:
        optimizers["network"] = torch.optim.Adam(network, lr=settings.learning_rate, fused=True)
    if tables := _tables(model):
        for module in model.modules():
            if isinstance(module, FieldEmbedding):
                module.table.sparse = True
        # Kernels are fused for the layers alone where there is none for the rows.
        more: dict[str, Any] = {"fused": settings.kernels == "fused" and native.why_not() is None}
        optimizers["tables"] = TABLE_OPTIMIZERS[settings.embedding_optimizer](
            tables,
            lr=settings.embedding_learning_rate or settings.learning_rate,
            l2=settings.embedding_l2,
            weight_decay=settings.embedding_weight_decay,
            **(more if settings.embedding_optimizer == "row_adam" else {}),
        )
    return optimizers


def _share(part: Batch, batch: Batch) -> Tensor | float:
    """The weight of a part's mean loss in the mean loss of its batch."""
    if part.weight is None or batch.weight is None:
        return len(part) / len(batch)
    return part.weight.sum() / batch.weight.sum().clamp_min(torch.finfo(torch.float32).tiny)


def _broken_field(model: nn.Module) -> str | None:
    """The first field whose rows in an embedding table hold something that is not finite."""
    for module in model.modules():
        if isinstance(module, FieldEmbedding):
            bad = ~torch.isfinite(module.table.weight).all(dim=1)
            for field, start in zip(module.layout, module.layout.offsets, strict=True):
                if bad[start : start + field.size].any():
                    return field.name
    return None
