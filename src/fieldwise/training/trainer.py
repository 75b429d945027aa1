"""Trainer: fits a model to a data set, watches validation rows, and keeps the best weights."""

from __future__ import annotations

import math
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

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
from fieldwise.training.checkpoints import TrainingState, read_checkpoint, write_checkpoint
from fieldwise.training.evaluation import evaluate_model
from fieldwise.training.history import EpochRecord, History, header
from fieldwise.training.metrics import Metrics
from fieldwise.training.objectives import Binary, Objective


class Trainer:
    """Trains by Adam with early stopping; after `fit` the model holds the weights of its best epoch.

    The same seed, data and settings give the same weights on the same machine. Unseen and too rare tokens get
    their meaning before every evaluation (see `FieldEmbedding.fill_other`).

    objective: what the model's output means; default: the probability of a click.
    checkpoint: a file to write after each epoch and every `settings.checkpoint_minutes`; `restore` reads it, and a
        run that is restored ends with the same weights, bit for bit, as one that was never stopped (on the same
        machine, with the same number of threads).
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
        checkpoint: Path | None = None,
    ) -> None:
        self.settings = settings or TrainingSettings()
        self.device = resolve_device(self.settings.device)
        self.model = model.to(self.device)
        self.objective: Objective = objective or Binary()
        self.seed = seed
        self.reporter = reporter or Reporter(enabled=False)
        self.optimizer = torch.optim.Adam(self.model.parameters(), lr=self.settings.learning_rate, fused=True)
        self.state = TrainingState()
        self.best_weights: dict[str, Tensor] | None = None
        self.checkpoint = checkpoint
        self._written = time.monotonic()
        self._random_states: dict[str, Tensor] | None = None
        self._stop = False

    def fit(self, train: Dataset, valid: Dataset | None = None) -> History:
        """Train on `train`; `valid` picks the best epoch, without it the last one counts.

        Ctrl-C ends training after the step under way and keeps the best weights so far (before the first
        evaluation: the current ones); a second Ctrl-C does not wait for the step.
        """
        if not len(train):
            raise TrainingError("there are no rows to train on")
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
        if self.best_weights is not None:
            self.model.load_state_dict(self.best_weights)
        self.model.eval()
        return self.state.history

    def save(self, path: Path) -> None:
        """Write a checkpoint of the run as it stands. Raises TrainingError where it cannot be written."""
        tensors = {f"model.{name}": weight for name, weight in self.model.state_dict().items()}
        tensors |= {f"best.{name}": weight for name, weight in (self.best_weights or {}).items()}
        for i, moments in self.optimizer.state_dict()["state"].items():
            tensors |= {f"optimizer.{i}.{name}": moment for name, moment in moments.items()}
        tensors |= {f"random.{name}": state for name, state in _random_states(self.device).items()}
        write_checkpoint(path, self.state, tensors)
        self._written = time.monotonic()

    def restore(self, path: Path) -> None:
        """Go on from a checkpoint of a run with the same model, settings, seed and data.

        Raises TrainingError where the file cannot be read or is of another model.
        """
        state, tensors = read_checkpoint(path)
        parts: dict[str, dict[str, Tensor]] = {"model": {}, "best": {}, "optimizer": {}, "random": {}}
        for name, tensor in tensors.items():
            part, _, rest = name.partition(".")
            parts[part][rest] = tensor
        moments: dict[int, dict[str, Tensor]] = {}
        for name, tensor in parts["optimizer"].items():
            i, _, moment = name.partition(".")
            moments.setdefault(int(i), {})[moment] = tensor
        try:
            self.model.load_state_dict(parts["model"])
            groups = self.optimizer.state_dict()["param_groups"]
            self.optimizer.load_state_dict({"state": moments, "param_groups": groups})
        except (RuntimeError, ValueError) as error:
            raise TrainingError(f"{path} is a checkpoint of another model: {str(error).splitlines()[0]}") from error
        self.best_weights = {name: weight.to(self.device) for name, weight in parts["best"].items()} or None
        self._random_states = parts["random"]
        self.state = state

    def _run(self, train: Dataset, valid: Dataset | None) -> None:
        state, settings = self.state, self.settings
        counts = train.id_counts()
        while not state.history.ended:
            with self.reporter.rows(len(train), f"epoch {state.epoch}", done=state.rows) as progress:
                self._train_epoch(train, progress)
            fill_other(self.model, counts)
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

    def _train_epoch(self, train: Dataset, progress: Progress) -> None:
        state, size = self.state, self.settings.batch_size
        # An order that follows from seed and epoch alone can be picked up again in the middle.
        order = np.random.default_rng([self.seed, state.epoch]).permutation(len(train))
        total_steps = math.ceil(len(train) / size) * self.settings.epochs
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
        state.seconds = time.perf_counter() - started

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
            learning_rate=self.optimizer.param_groups[0]["lr"],
            rows_per_s=num_rows / max(state.seconds, 1e-9),
            seconds=state.seconds,
        )
        best = self._is_best(record)
        state.history.records.append(record)
        if best:
            state.history.best_epoch = state.epoch
            self.best_weights = {n: w.detach().clone() for n, w in self.model.state_dict().items()}
        state.waited = 0 if best else state.waited + 1
        state.epoch, state.rows, state.loss_sum, state.seconds = state.epoch + 1, 0, 0.0, 0.0
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
