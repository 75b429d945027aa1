"""Trainer: the loop. It takes step after step, watches validation rows, keeps the best weights, writes checkpoints.

How a step moves the weights is in `fieldwise.training.step`, the learning rate over a run in
`fieldwise.training.schedule`, what is said of a loss that is no number in `fieldwise.training.diagnosis`.
"""

from __future__ import annotations

import math
import time
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from torch import Tensor, nn

from fieldwise.data.dataset import Dataset
from fieldwise.data.loader import Loader
from fieldwise.errors import TrainingError
from fieldwise.layers.embeddings import FieldEmbedding
from fieldwise.metrics import Metrics
from fieldwise.models.base import CTRModel
from fieldwise.objectives import Objective
from fieldwise.reporting import Progress, Reporter
from fieldwise.settings import TrainingSettings
from fieldwise.training.checkpoints import BestWeights, TrainingState, read_checkpoint, write_checkpoint
from fieldwise.training.diagnosis import explain_nan
from fieldwise.training.evaluation import evaluate_model
from fieldwise.training.execution import describe
from fieldwise.training.history import EpochRecord, History, header
from fieldwise.training.optimizers import GateTraining
from fieldwise.training.schedule import learning_rate
from fieldwise.training.signals import StopRequest, stopping_between_steps
from fieldwise.training.step import Step


class Trainer:
    """Trains with early stopping; after `fit` the model holds the weights of its best epoch.

    The same seed, data and settings give the same weights on the same machine. Unseen and too rare tokens get
    their meaning before every evaluation (see `FieldEmbedding.fill_oov`). Nothing is set for the whole process; see
    `fieldwise.training.execution.apply_process_settings`.

    Args:
        model: What is trained.
        settings: `auto` in them is settled for this model and machine (`fieldwise.training.execution`).
        objective: What the model's output means; by default the probability of a click.
        seed: Decides the order of rows and dropout.
        reporter: Says how it goes; by default nothing is said.
        checkpoint: A file to write after each epoch and every `settings.checkpoint_minutes`; `restore` reads it, and a
            run that is restored ends with the same weights, bit for bit, as one that was never stopped (on the same
            machine, with the same number of threads).
        gates: What GRDA moves; their learning rate follows the schedule of all others.
        step: What makes the step out of model, settings, objective and gates.

    Attributes:
        step: Moves the weights by one batch.
        settings: What the settings came to.
        model: The model, on its device.
        state: Where the run stands.

    Raises:
        TrainingError: For a device or kernels that cannot be had.

    Example:
        >>> from fieldwise.encoding.encoded import EncodedRows, EncodingReport
        >>> from fieldwise.layout import FieldLayout, Layout
        >>> from fieldwise.models import build
        >>> layout = Layout((FieldLayout("user", "categorical", 4),))
        >>> ids = np.array([[2], [3]], dtype=np.int32)
        >>> rows = EncodedRows(ids, np.empty((2, 0), np.float32), (), EncodingReport())
        >>> train = Dataset(layout, rows, label=np.array([0, 1], dtype=np.float32))
        >>> Trainer(build("lr", layout), settings=TrainingSettings(epochs=2)).fit(train).ended
        'all epochs'
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
        step: type[Step] = Step,
    ) -> None:
        self.step = step(model, settings=settings, objective=objective, gates=gates)
        self.settings = self.step.settings
        self.model, self.device = self.step.model, self.step.device
        self.objective, self.optimizers = self.step.objective, self.step.optimizers
        self.seed = seed
        self.reporter = reporter or Reporter(enabled=False)
        self.state = TrainingState()
        self.checkpoint = checkpoint
        self._best = BestWeights(checkpoint)
        self._written = time.monotonic()
        self._random_states: dict[str, Tensor] | None = None

    def fit(self, train: Dataset, valid: Dataset | None = None) -> History:
        """Train, and leave the model with the weights of its best epoch, in evaluation mode.

        Ctrl-C ends training after the step under way and keeps the best weights so far (without an evaluation: the
        current ones); a second Ctrl-C does not wait for the step.

        Args:
            train: Rows with labels, at least one.
            valid: Rows that pick the best epoch; without them the last one counts.

        Returns:
            What the run went through, earlier parts included where it was restored.

        Raises:
            TrainingError: Where there are no rows, and where the loss is not a number: it then names the rows and,
                where it can be told, the column.
        """
        if not len(train):
            raise TrainingError("there are no rows to train on")
        self.reporter.say(describe(self.settings, threads=torch.get_num_threads()))
        monitors = [*self.objective.monitors]
        self.reporter.say(header(monitors, room=self.reporter.width))
        for record in self.state.history.records:
            best = record.epoch == self.state.history.best_epoch
            self.reporter.say(record.line(monitors, best=best, room=self.reporter.width))
        devices = [self.device] if self.device.type == "cuda" else []
        try:
            with torch.random.fork_rng(devices=devices), stopping_between_steps() as request:
                torch.manual_seed(self.seed)
                if self._random_states is not None:
                    _set_random_states(self._random_states, self.device)
                self._run(train, valid, request)
        except KeyboardInterrupt:
            self.state.history.ended = "interrupted"
            self.reporter.say("interrupted: the best weights so far are kept")
        history = self.state.history
        # Without validation rows the last epoch is the best, and the model holds it.
        if history.best_epoch is not None and history.records[-1].valid:
            with torch.no_grad():
                self._best.restore(history.best_epoch, self.model.state_dict())
        self.model.eval()
        return history

    def save(self, path: Path) -> None:
        """Write a checkpoint of the run as it stands.

        Raises:
            StorageError: Where it cannot be written.
        """
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

        Raises:
            TrainingError: Where the file cannot be read or is of another model.
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

    def _run(self, train: Dataset, valid: Dataset | None, request: StopRequest) -> None:
        state = self.state
        counts, loader = train.id_counts(), Loader(train, self.device)
        # What ended an earlier part of the run need not end this one: it may have more epochs, or more patience.
        state.history.ended = self._why_ended()
        while not state.history.ended:
            with self.reporter.rows(len(train), f"epoch {state.epoch}", done=state.rows) as progress:
                self._train_epoch(train, loader, progress, request)
            fill_oov(self.model, counts)
            metrics = None
            if valid is not None and len(valid):
                with self.reporter.rows(len(valid), "validation") as progress:
                    metrics = evaluate_model(self.model, valid, self.objective, progress=progress)
            self._finish_epoch(len(train), metrics)
            state.history.ended = self._why_ended()
            if self.checkpoint is not None:
                self.save(self.checkpoint)

    def _why_ended(self) -> Literal["", "early stop", "all epochs"]:
        """Why training ends before the next epoch; empty where it goes on. An epoch under way is finished first."""
        if self.state.rows:
            return ""
        if self.state.waited >= self.settings.patience:
            return "early stop"
        return "all epochs" if len(self.state.history.records) >= self.settings.epochs else ""

    def _train_epoch(self, train: Dataset, loader: Loader, progress: Progress, request: StopRequest) -> None:
        state, size = self.state, self.settings.rows_per_step
        # An order that follows from seed and epoch alone can be picked up again in the middle.
        order = np.random.default_rng([self.seed, state.epoch]).permutation(len(train))
        total_steps = self._total_steps(len(train))
        check_every = 1 if self.device.type == "cpu" else 50
        started = time.perf_counter() - state.seconds
        self.model.train()
        loss_sum = torch.tensor(state.loss_sum, dtype=torch.float64, device=self.device)
        while state.rows < len(train):
            if request.wanted or self._checkpoint_is_due():
                state.loss_sum, state.seconds = loss_sum.item(), time.perf_counter() - started
                if self.checkpoint is not None:
                    self.save(self.checkpoint)
                if request.wanted:
                    raise KeyboardInterrupt
            rows = order[state.rows : state.rows + size]
            batch = loader.batch(rows)
            loss = self.step(batch, learning_rate(self.settings, state.step, total_steps, drops=state.drops))
            loss_sum += loss * len(rows)
            state.rows += len(rows)
            state.step += 1
            # Reading the loss waits for the device, so on a GPU it is read only now and then.
            if state.step % check_every == 0 or state.rows == len(train):
                state.loss_sum = loss_sum.item()
                if not math.isfinite(state.loss_sum):
                    message = explain_nan(
                        self.model,
                        train.layout,
                        batch,
                        rows,
                        epoch=state.epoch,
                        number=state.rows // len(rows),
                        learning_rate=self.settings.learning_rate,
                    )
                    raise TrainingError(message)
            progress.update(len(rows))
        state.seconds = time.perf_counter() - started

    def _checkpoint_is_due(self) -> bool:
        waited = time.monotonic() - self._written
        return self.checkpoint is not None and waited >= 60 * self.settings.checkpoint_minutes

    def _finish_epoch(self, num_rows: int, metrics: Metrics | None) -> None:
        state = self.state
        record = EpochRecord(
            epoch=state.epoch,
            train_loss=state.loss_sum / num_rows,
            valid={} if metrics is None else {name: metrics.to_dict()[name] for name in self.objective.monitors},
            learning_rate=learning_rate(self.settings, state.step - 1, self._total_steps(num_rows), drops=state.drops),
            rows_per_s=num_rows / max(state.seconds, 1e-9),
            seconds=state.seconds,
        )
        best = self._is_best(record)
        state.history.records.append(record)
        if best:
            state.history.best_epoch = state.epoch
            if metrics is not None:
                self._best.keep(state.epoch, self.model.state_dict())
        state.waited, state.drops = (0, state.drops) if best else (state.waited + 1, state.drops + 1)
        state.epoch, state.rows, state.loss_sum, state.seconds = state.epoch + 1, 0, 0.0, 0.0
        self.reporter.say(record.line([*self.objective.monitors], best=best, room=self.reporter.width))

    def _total_steps(self, num_rows: int) -> int:
        return math.ceil(num_rows / self.settings.rows_per_step) * self.settings.epochs

    def _is_best(self, record: EpochRecord) -> bool:
        history = self.state.history
        if history.best_epoch is None or not record.valid:
            return True
        best = history.records[history.best_epoch - 1]
        # A metric that is undefined for these rows leaves the decision to the objective's first, which never is.
        for name in (self.settings.monitor, self.objective.default_monitor):
            now, before = record.valid[name], best.valid[name]
            if now is not None and before is not None:
                return now > before if self.objective.monitors[name] == "max" else now < before
        return False


def _random_states(device: torch.device) -> dict[str, Tensor]:
    states = {"cpu": torch.get_rng_state()}
    return states | {"cuda": torch.cuda.get_rng_state(device)} if device.type == "cuda" else states


def _set_random_states(states: dict[str, Tensor], device: torch.device) -> None:
    torch.set_rng_state(states["cpu"])
    if device.type == "cuda" and "cuda" in states:
        torch.cuda.set_rng_state(states["cuda"], device)


def fill_oov(model: nn.Module, counts: Tensor) -> tuple[int, ...]:
    """Give the OOV id a meaning in every embedding table of a model; see `FieldEmbedding.fill_oov`.

    Args:
        model: A model or a part of one.
        counts: int64 [V], how often training read each row of a table of the whole layout.

    Returns:
        The fields where it was needed, as positions in the layout, ascending.
    """
    fields: set[int] = set()
    for module in model.modules():
        if isinstance(module, FieldEmbedding):
            fields.update(module.fill_oov(counts))
    return tuple(sorted(fields))
