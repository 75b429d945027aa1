"""Trainer: fits a model to a data set, watches validation rows, and keeps the best weights."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor, nn

from fieldwise.data.batch import Batch
from fieldwise.data.dataset import Dataset
from fieldwise.errors import TrainingError
from fieldwise.layers.embeddings import FieldEmbedding
from fieldwise.layout import Layout
from fieldwise.reporting import Progress, Reporter
from fieldwise.settings import TrainingSettings
from fieldwise.training.evaluation import evaluate_model
from fieldwise.training.history import EpochRecord, History, header
from fieldwise.training.metrics import Metrics
from fieldwise.training.objectives import Binary, Objective


@dataclass
class TrainingState:
    """Where a run stands, apart from the weights and the optimiser.

    epoch: the one under way, from 1. rows: rows of it that are done. step: steps since the start.
    loss_sum: sum of the losses of those rows. waited: finished epochs since the best one.
    best_weights: a copy of the weights after `history.best_epoch`.
    """

    epoch: int = 1
    rows: int = 0
    step: int = 0
    loss_sum: float = 0.0
    waited: int = 0
    best_weights: dict[str, Tensor] | None = None
    history: History = field(default_factory=History)


class Trainer:
    """Trains by Adam with early stopping; after `fit` the model holds the weights of its best epoch.

    The same seed, data and settings give the same weights on the same machine. Unseen and too rare tokens get
    their meaning before every evaluation (see `FieldEmbedding.fill_other`).

    objective: what the model's output means; default: the probability of a click.
    Raises TrainingError where the loss is not a number, naming the rows and, where it can be told, the column.
    """

    def __init__(
        self,
        model: nn.Module,
        *,
        settings: TrainingSettings | None = None,
        objective: Objective | None = None,
        seed: int = 0,
        reporter: Reporter | None = None,
    ) -> None:
        self.settings = settings or TrainingSettings()
        self.device = resolve_device(self.settings.device)
        self.model = model.to(self.device)
        self.objective: Objective = objective or Binary()
        self.seed = seed
        self.reporter = reporter or Reporter(enabled=False)
        self.optimizer = torch.optim.Adam(self.model.parameters(), lr=self.settings.learning_rate, fused=True)
        self.state = TrainingState()

    def fit(self, train: Dataset, valid: Dataset | None = None) -> History:
        """Train on `train`; `valid` picks the best epoch, without it the last one counts.

        Ctrl-C ends training and keeps the best weights so far (before the first evaluation: the current ones).
        """
        if not len(train):
            raise TrainingError("there are no rows to train on")
        self.reporter.say(header())
        devices = [self.device] if self.device.type == "cuda" else []
        try:
            with torch.random.fork_rng(devices=devices):
                torch.manual_seed(self.seed)
                self._run(train, valid)
        except KeyboardInterrupt:
            self.state.history.ended = "interrupted"
            self.reporter.say("interrupted: the best weights so far are kept")
        if self.state.best_weights is not None:
            self.model.load_state_dict(self.state.best_weights)
        self.model.eval()
        return self.state.history

    def _run(self, train: Dataset, valid: Dataset | None) -> None:
        state, settings = self.state, self.settings
        counts = train.id_counts()
        while not state.history.ended:
            started = time.perf_counter()
            with self.reporter.rows(len(train), f"epoch {state.epoch}", done=state.rows) as progress:
                self._train_epoch(train, progress)
            seconds = time.perf_counter() - started
            fill_other(self.model, counts)
            metrics = None
            if valid is not None and len(valid):
                with self.reporter.rows(len(valid), "validation") as progress:
                    metrics = evaluate_model(self.model, valid, self.objective, progress=progress)
            self._finish_epoch(len(train), seconds, metrics)
            if state.waited >= settings.patience:
                state.history.ended = "early stop"
            elif len(state.history.records) >= settings.epochs:
                state.history.ended = "all epochs"

    def _train_epoch(self, train: Dataset, progress: Progress) -> None:
        state, size = self.state, self.settings.batch_size
        # An order that follows from seed and epoch alone can be picked up again in the middle.
        order = np.random.default_rng([self.seed, state.epoch]).permutation(len(train))
        total_steps = math.ceil(len(train) / size) * self.settings.epochs
        check_every = 1 if self.device.type == "cpu" else 50
        self.model.train()
        loss_sum = torch.tensor(state.loss_sum, dtype=torch.float64, device=self.device)
        while state.rows < len(train):
            rows = order[state.rows : state.rows + size]
            batch = train.batch(rows).to(self.device)
            for group in self.optimizer.param_groups:
                group["lr"] = learning_rate(self.settings, state.step, total_steps)
            assert batch.label is not None
            loss = self.objective.loss(self.model(batch), batch.label, batch.weight)
            self.optimizer.zero_grad(set_to_none=True)
            loss.backward()  # type: ignore[no-untyped-call]
            if self.settings.clip_norm is not None:
                nn.utils.clip_grad_norm_(self.model.parameters(), self.settings.clip_norm)
            self.optimizer.step()
            loss_sum += loss.detach() * len(rows)
            state.rows += len(rows)
            state.step += 1
            # Reading the loss waits for the device, so on a GPU it is read only now and then.
            if state.step % check_every == 0 or state.rows == len(train):
                state.loss_sum = loss_sum.item()
                if not math.isfinite(state.loss_sum):
                    raise TrainingError(self._explain_nan(train.layout, batch, rows))
            progress.update(len(rows))

    def _finish_epoch(self, num_rows: int, seconds: float, metrics: Metrics | None) -> None:
        state = self.state
        record = EpochRecord(
            epoch=state.epoch,
            train_loss=state.loss_sum / num_rows,
            valid_log_loss=None if metrics is None else metrics.log_loss,
            valid_auc=None if metrics is None else metrics.auc,
            learning_rate=self.optimizer.param_groups[0]["lr"],
            rows_per_s=num_rows / seconds,
            seconds=seconds,
        )
        best = self._is_best(record)
        state.history.records.append(record)
        if best:
            state.history.best_epoch = state.epoch
            state.best_weights = {n: w.detach().clone() for n, w in self.model.state_dict().items()}
        state.waited = 0 if best else state.waited + 1
        state.epoch, state.rows, state.loss_sum = state.epoch + 1, 0, 0.0
        self.reporter.say(record.line(best=best))

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
        field = _broken_field(self.model, layout)
        cause = f"; the embedding of column '{field}' is not finite" if field else ""
        return (
            f"{where}{cause}. Lower the learning rate (training.learning_rate, now "
            f"{self.settings.learning_rate:g}) or clip gradients (training.clip_norm=1)"
        )


def learning_rate(settings: TrainingSettings, step: int, total_steps: int) -> float:
    """The learning rate of a step (from 0): a rise over `warmup_steps`, then the schedule down to the last step."""
    if step < settings.warmup_steps:
        return settings.learning_rate * (step + 1) / settings.warmup_steps
    if settings.schedule == "constant":
        return settings.learning_rate
    done = (step - settings.warmup_steps) / max(total_steps - settings.warmup_steps, 1)
    share = 1 - done if settings.schedule == "linear" else (1 + math.cos(math.pi * done)) / 2
    return settings.learning_rate * share


def fill_other(model: nn.Module, counts: Tensor) -> tuple[int, ...]:
    """Give the OTHER id a meaning in every embedding table of a model; the fields where it was needed."""
    fields: set[int] = set()
    for module in model.modules():
        if isinstance(module, FieldEmbedding):
            fields.update(module.fill_other(counts))
    return tuple(sorted(fields))


def resolve_device(name: str) -> torch.device:
    """The device of a name; `auto` is a CUDA device where there is one. Raises TrainingError where it is not there."""
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as error:
        raise TrainingError(f"device '{name}' cannot be used: {str(error).splitlines()[0]}") from error
    return device


def _broken_field(model: nn.Module, layout: Layout) -> str | None:
    """The first field whose rows in an embedding table hold something that is not finite."""
    for module in model.modules():
        if isinstance(module, FieldEmbedding):
            bad = ~torch.isfinite(module.table.weight).all(dim=1)
            for layout_field, start in zip(layout, layout.offsets, strict=True):
                if bad[start : start + layout_field.size].any():
                    return layout_field.name
    return None
