"""The Trainer: it learns, keeps the best weights, repeats itself for a seed, and says what went wrong."""

from __future__ import annotations

import io
import math
import signal
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import torch
from torch import Tensor

from fieldwise.architecture import Architecture
from fieldwise.data.batch import Batch
from fieldwise.data.dataset import Dataset
from fieldwise.encoding.encoder import Encoder
from fieldwise.errors import TrainingError
from fieldwise.layers.embeddings import FieldEmbedding
from fieldwise.layers.interaction_functions import function_names
from fieldwise.layers.interactions import gates_of
from fieldwise.models import registry
from fieldwise.models.aim import AIM, EmbeddingSearch
from fieldwise.models.base import CTRModel
from fieldwise.objectives import Binary
from fieldwise.optim.rows import clip_gradients
from fieldwise.preparation import encode_table
from fieldwise.reporting import Reporter
from fieldwise.schema import Categorical, Numeric, Schema
from fieldwise.settings import TrainingSettings
from fieldwise.training import execution
from fieldwise.training import step as step_module
from fieldwise.training.evaluation import evaluate_model, predict_logits
from fieldwise.training.execution import resolve_device
from fieldwise.training.history import header
from fieldwise.training.optimizers import GateTraining
from fieldwise.training.step import Step
from fieldwise.training.trainer import Trainer, fill_oov

pytestmark = pytest.mark.usefixtures("wide")


@pytest.fixture(scope="module")
def parts(clicks: pa.Table) -> tuple[Dataset, Dataset]:
    schema = Schema(label="click", fields={"user": Categorical(), "device": Categorical(), "price": Numeric()})
    encoder = Encoder.fit(clicks, schema)
    dataset = encode_table(clicks, encoder)
    return dataset.take(np.arange(1500)), dataset.take(np.arange(1500, 2000))


def build(parts: tuple[Dataset, Dataset], name: str = "lr", *, seed: int = 0, **settings: Any) -> CTRModel:
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return registry.build(name, parts[0].layout, registry.resolve(name, settings=settings))


def small_autoint(parts: tuple[Dataset, Dataset]) -> CTRModel:
    return build(parts, "autoint", num_layers=1, attention_dim=8, embedding_dim=4, dropout=0.2)


def test_it_learns_and_keeps_the_best_epoch(parts: tuple[Dataset, Dataset]) -> None:
    model = build(parts)
    trainer = Trainer(model, settings=TrainingSettings(epochs=40, batch_size=64, learning_rate=0.3, patience=3))
    history = trainer.fit(*parts)
    losses = [record.valid["log_loss"] for record in history.records]
    assert history.ended == "early stop"
    assert history.best_epoch == 1 + int(np.argmin(losses))
    assert len(losses) == history.best_epoch + 3
    metrics = evaluate_model(model, parts[1], Binary())
    assert metrics.log_loss == losses[history.best_epoch - 1]
    assert metrics.auc is not None
    assert metrics.auc > 0.8
    assert not model.training


def test_the_same_seed_gives_the_same_weights(parts: tuple[Dataset, Dataset]) -> None:
    def run(seed: int) -> dict[str, Tensor]:
        model = small_autoint(parts)
        torch.rand(7)  # the state of the global generator must not matter
        Trainer(model, settings=TrainingSettings(epochs=2, batch_size=128), seed=seed).fit(*parts)
        return model.state_dict()

    first, again, other = run(1), run(1), run(2)
    assert all(torch.equal(first[name], again[name]) for name in first)
    assert not all(torch.equal(first[name], other[name]) for name in first)


def test_a_trainer_sets_nothing_for_the_whole_process(
    parts: tuple[Dataset, Dataset], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(execution, "keep_freed_memory", lambda: pytest.fail("the allocator was set"))
    trainer = Trainer(build(parts), settings=TrainingSettings(epochs=1, allocator="keep"))
    before = signal.getsignal(signal.SIGINT)
    trainer.fit(*parts)
    assert signal.getsignal(signal.SIGINT) is before


def test_training_leaves_the_global_generator_alone(parts: tuple[Dataset, Dataset]) -> None:
    before = torch.get_rng_state()
    Trainer(small_autoint(parts), settings=TrainingSettings(epochs=1)).fit(*parts)
    assert torch.equal(before, torch.get_rng_state())


def test_one_step_is_adam_on_the_mean_log_loss(parts: tuple[Dataset, Dataset]) -> None:
    train = parts[0].take(np.arange(64))
    ours, theirs = build(parts), build(parts)
    Trainer(ours, settings=TrainingSettings(epochs=1, batch_size=64, learning_rate=0.01)).fit(train)
    optimizer = torch.optim.Adam(theirs.parameters(), lr=0.01)
    batch = train.batch(slice(0, 64))
    assert batch.label is not None
    torch.nn.functional.binary_cross_entropy_with_logits(theirs(batch), batch.label).backward()  # type: ignore[no-untyped-call]
    optimizer.step()
    fill_oov(theirs, train.id_counts())
    for name, weight in theirs.state_dict().items():
        torch.testing.assert_close(ours.state_dict()[name], weight)


def test_the_recorded_loss_is_the_mean_over_rows(parts: tuple[Dataset, Dataset]) -> None:
    # 1,500 rows in batches of 1,000: a mean of batch means would weigh the short batch twice.
    model = build(parts)
    settings = TrainingSettings(epochs=1, batch_size=1000, learning_rate=1e-9)
    history = Trainer(model, settings=settings).fit(parts[0])
    assert history.records[0].train_loss == pytest.approx(math.log(2), rel=1e-6)
    assert history.records[0].valid == {}
    assert history.best_epoch == 1


def test_auc_can_pick_the_epoch(parts: tuple[Dataset, Dataset]) -> None:
    settings = TrainingSettings(epochs=12, batch_size=64, learning_rate=0.3, patience=12, monitor="auc")
    history = Trainer(build(parts), settings=settings).fit(*parts)
    aucs = [record.valid["auc"] or 0.0 for record in history.records]
    assert history.best_epoch == 1 + int(np.argmax(aucs))


@pytest.mark.parametrize("optimizer", ["adam", "row_adam"])
def test_gradients_are_clipped(parts: tuple[Dataset, Dataset], optimizer: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    norms: list[tuple[float, float]] = []

    def spy(gradients: Any, max_norm: float) -> None:
        gradients = list(gradients)
        norm = float(torch.cat([g.flatten() for g in gradients]).norm())
        clip_gradients(gradients, max_norm)
        norms.append((norm, float(torch.cat([g.flatten() for g in gradients]).norm())))

    def dense_norm(model: CTRModel, batch: Batch) -> float:
        for module in model.modules():
            if isinstance(module, FieldEmbedding):
                module.table.sparse = False
        assert batch.label is not None
        Binary().loss(model(batch), batch.label, None).backward()  # type: ignore[no-untyped-call]
        return float(torch.cat([p.grad.flatten() for p in model.parameters() if p.grad is not None]).norm())

    monkeypatch.setattr(step_module, "clip_gradients", spy)
    settings = TrainingSettings(
        epochs=1, batch_size=1500, clip_norm=1e-4, embedding_optimizer=optimizer, precision="float32", micro_batch=100
    )
    Trainer(build(parts), settings=settings).fit(parts[0])
    expected = dense_norm(build(parts), parts[0].batch(slice(0, 1500)))
    assert norms[0][0] == pytest.approx(expected, rel=1e-4)
    assert norms[0][0] > 1e-3
    assert norms[0][1] == pytest.approx(1e-4, rel=1e-3)


def test_row_weights_count(parts: tuple[Dataset, Dataset]) -> None:
    logit, label = torch.tensor([0.3, -2.0, 1.0]), torch.tensor([1.0, 0.0, 0.0])
    losses = torch.nn.functional.binary_cross_entropy_with_logits(logit, label, reduction="none")
    weight = torch.tensor([2.0, 0.0, 1.0])
    torch.testing.assert_close(Binary().loss(logit, label, weight), (2 * losses[0] + losses[2]) / 3)
    torch.testing.assert_close(Binary().loss(logit, label, None), losses.mean())
    assert Binary().loss(logit, label, torch.zeros(3)).item() == 0.0


def test_probabilities_keep_their_digits() -> None:
    logits = np.array([-800, -40, 0, 20, 40, 800], dtype=np.float32)
    probability = Binary().prediction(logits)
    assert probability.dtype == np.float64
    np.testing.assert_allclose(probability[:4], [0, np.exp(-40.0), 0.5, 1 / (1 + np.exp(-20.0))], rtol=1e-12)
    assert probability[3] < 1
    assert probability[-1] == 1


def test_interrupting_keeps_the_best_weights(parts: tuple[Dataset, Dataset]) -> None:
    class Interrupted(Step):
        left = 2 * 2  # steps: two epochs of 1,500 rows in batches of 1,024

        def __call__(self, batch: Batch, rate: float) -> Tensor:
            if not self.left:
                raise KeyboardInterrupt
            self.left -= 1
            return super().__call__(batch, rate)

    settings = TrainingSettings(epochs=9, learning_rate=0.1)
    trainer = Trainer(build(parts), settings=settings, step=Interrupted)
    history = trainer.fit(*parts)
    assert history.ended == "interrupted"
    assert len(history.records) == 2
    assert history.best_epoch is not None
    metrics = evaluate_model(trainer.model, parts[1], Binary())
    assert metrics.log_loss == history.records[history.best_epoch - 1].valid["log_loss"]


class Exploding(CTRModel):
    """Gives NaN from its third training batch on."""

    def __init__(self, layout: Any) -> None:
        super().__init__(layout)
        self.weight = torch.nn.Parameter(torch.zeros(()))
        self.calls = 0

    def forward(self, batch: Batch) -> Tensor:
        self.calls += 1
        return self.weight + torch.full((len(batch),), math.nan if self.calls > 2 else 0.0)


def test_a_loss_that_is_no_number_stops_with_the_batch(parts: tuple[Dataset, Dataset]) -> None:
    trainer = Trainer(Exploding(parts[0].layout), settings=TrainingSettings(batch_size=100))
    with pytest.raises(TrainingError, match=r"epoch 1, batch 3 \(training rows \d+, \d+, \d+, …\).*learning rate"):
        trainer.fit(*parts)


def test_a_huge_number_is_blamed_by_its_column(clicks: pa.Table) -> None:
    price = np.full(clicks.num_rows, 1.0)
    price[::3] = 1e38
    table = clicks.set_column(clicks.column_names.index("price"), "price", pa.array(price))
    schema = Schema(label="click", fields={"user": Categorical(), "price": Numeric(transform="none")})
    dataset = encode_table(table, Encoder.fit(table, schema))
    model = registry.build("autoint", dataset.layout, registry.resolve("autoint", settings={"layer_norm": False}))
    with pytest.raises(TrainingError, match="column 'price' holds 1e\\+38 after scaling"):
        Trainer(model, settings=TrainingSettings(learning_rate=1.0)).fit(dataset)


def test_a_broken_embedding_is_named_by_its_field(parts: tuple[Dataset, Dataset]) -> None:
    model = build(parts)
    offsets = parts[0].layout.offsets
    with torch.no_grad():
        model.get_submodule("weights.table").weight[offsets[1] + 2] = math.inf  # type: ignore[operator]
    with pytest.raises(TrainingError, match="the embedding of column 'device' is not finite"):
        Trainer(model).fit(parts[0])


def test_lines_are_aligned(parts: tuple[Dataset, Dataset]) -> None:
    stream = io.StringIO()
    reporter = Reporter(stream)
    history = Trainer(build(parts), settings=TrainingSettings(epochs=2), reporter=reporter).fit(*parts)
    lines = stream.getvalue().splitlines()
    assert lines[0].startswith("training on ")
    names = header(["log_loss", "auc"])
    assert lines[1] == names
    assert [len(line.removesuffix("  best")) for line in lines[1:]] == [len(names)] * 3
    assert str(history).splitlines()[0] == names
    assert history.to_table().column("epoch").to_pylist() == [1, 2]


def test_prediction_in_pieces_and_modes(parts: tuple[Dataset, Dataset]) -> None:
    model = small_autoint(parts).train()
    whole = predict_logits(model, parts[1])
    np.testing.assert_allclose(predict_logits(model, parts[1], batch_size=7), whole, rtol=1e-5, atol=1e-7)
    assert model.training
    assert whole.dtype == np.float32
    assert len(predict_logits(model, parts[1].take(np.arange(0)))) == 0


def test_nothing_to_train_on(parts: tuple[Dataset, Dataset]) -> None:
    with pytest.raises(TrainingError, match="no rows to train on"):
        Trainer(build(parts)).fit(parts[0].take(np.arange(0)))


def test_devices() -> None:
    assert resolve_device("cpu").type == "cpu"
    assert resolve_device("auto").type in ("cpu", "cuda")
    with pytest.raises(TrainingError, match="device 'abacus' cannot be used"):
        resolve_device("abacus")


# Gates that a search moves

GATES = {"learning_rate": 0.5, "c": 0.461, "mu": 0.7}


def test_gates_move_by_grda_and_all_else_by_adam_in_the_same_steps(parts: tuple[Dataset, Dataset]) -> None:
    train, rows = parts[0], 300
    settings = TrainingSettings(
        epochs=2, batch_size=rows, learning_rate=0.01, schedule="linear", precision="float32", device="cpu"
    )
    ours, theirs = (build(parts, "aim", embedding_dim=3, dnn_hidden=()) for _ in range(2))
    assert isinstance(ours, AIM)
    assert isinstance(theirs, AIM)
    gates, by_hand = (gates_of(model.gates, 2).weight for model in (ours, theirs))
    trainer = Trainer(ours, settings=settings, seed=3, gates=GateTraining([gates], **GATES))
    trainer.fit(train)

    adam = torch.optim.Adam([weight for weight in theirs.parameters() if weight is not by_hand])
    v, threshold, step = by_hand.detach().double(), 0.0, 0
    for epoch in (1, 2):
        order = np.random.default_rng([3, epoch]).permutation(len(train))
        for start in range(0, len(train), rows):
            theirs.zero_grad()
            batch = train.batch(order[start : start + rows])
            assert batch.label is not None
            Binary().loss(theirs(batch), batch.label, None).backward()  # type: ignore[no-untyped-call]
            assert by_hand.grad is not None
            share = 1 - step / 10  # the schedule is for gates too
            adam.param_groups[0]["lr"] = 0.01 * share
            adam.step()
            rate = GATES["learning_rate"] * share
            v = v - rate * by_hand.grad
            threshold += GATES["c"] * rate ** (0.5 + GATES["mu"]) * ((step + 1) ** GATES["mu"] - step ** GATES["mu"])
            with torch.no_grad():
                by_hand.copy_(v.sign() * (v.abs() - threshold).clamp(min=0))
            step += 1
        fill_oov(theirs, train.id_counts())
    assert step == trainer.state.step == 10
    state = trainer.optimizers["gates"].state[gates]
    assert float(state["threshold"]) == pytest.approx(threshold, rel=1e-9)
    torch.testing.assert_close(state["accumulator"], v.float())
    for name, weight in theirs.state_dict().items():
        torch.testing.assert_close(ours.state_dict()[name], weight, atol=1e-5, rtol=1e-4)
    assert torch.equal(gates == 0, by_hand == 0)
    assert 0 < int((gates == 0).sum()) < len(gates)


class Killed(BaseException):
    """Ends a run at once; nothing in the library catches it."""


class Mortal(Step):
    """Dies in the step after the given one."""

    after: int

    def __call__(self, batch: Batch, rate: float) -> Tensor:
        if not self.after:
            raise Killed
        self.after -= 1
        return super().__call__(batch, rate)


Gated = tuple[CTRModel, list[torch.nn.Parameter]]


def make_search(parts: tuple[Dataset, Dataset], kind: str, *, seed: int = 0) -> Gated:
    """A network and the gates that a stage of a search would move."""
    if kind == "interactions":
        model = build(parts, "aim", seed=seed, embedding_dim=3, dnn_hidden=(4,), dnn_dropout=0.3)
        assert isinstance(model, AIM)
        return model, [gates_of(model.gates, 2).weight]
    layout = parts[0].layout
    pairs, triples = (
        Architecture.everything(layout, order=order, functions=function_names()[:2], embedding_dim=3)
        for order in (2, 3)
    )
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        network = EmbeddingSearch(layout, pairs.with_interactions([*pairs.interactions, *triples.interactions]))
    return network, [gates_of(network.gates, order).weight for order in (2, 3)]


@pytest.mark.parametrize("kind", ["interactions", "positions"])
@pytest.mark.parametrize("after", [1, 5, 12, 17])
def test_gates_go_on_from_the_middle_of_a_pass_bit_for_bit(
    parts: tuple[Dataset, Dataset], tmp_path: Path, kind: str, after: int
) -> None:
    settings = TrainingSettings(epochs=2, batch_size=128, learning_rate=0.01, schedule="cosine", checkpoint_minutes=0)

    def run(step: type[Step], file: str | None, *, seed: int = 0) -> tuple[Trainer, list[torch.nn.Parameter]]:
        model, gates = make_search(parts, kind, seed=seed)
        checkpoint, training = None if file is None else tmp_path / file, GateTraining(gates, **GATES)
        return Trainer(model, settings=settings, checkpoint=checkpoint, gates=training, step=step), gates

    whole, expected = run(Step, None)
    whole.fit(parts[0])
    killed, _ = run(Mortal, "state.safetensors")
    assert isinstance(killed.step, Mortal)
    killed.step.after = after
    with pytest.raises(Killed):
        killed.fit(parts[0])
    # Another seed: everything must come from the checkpoint.
    resumed, found = run(Step, "state.safetensors", seed=1)
    resumed.restore(tmp_path / "state.safetensors")
    assert resumed.state.step == after
    resumed.fit(parts[0])

    assert resumed.state.step == whole.state.step == 24
    for name, weight in whole.model.state_dict().items():
        assert torch.equal(weight, resumed.model.state_dict()[name]), name
    for wanted, got in zip(expected, found, strict=True):
        one, other = whole.optimizers["gates"].state[wanted], resumed.optimizers["gates"].state[got]
        assert one.keys() == other.keys() == {"accumulator", "threshold", "step"}
        assert all(torch.equal(one[name], other[name]) and one[name].dtype == other[name].dtype for name in one)
        assert (wanted == 0).any()


def test_on_a_plateau_the_rate_falls_also_after_a_resume(parts: tuple[Dataset, Dataset], tmp_path: Path) -> None:
    settings = TrainingSettings(
        schedule="plateau", learning_rate=0.3, epochs=8, patience=8, batch_size=256, device="cpu"
    )
    checkpoint = tmp_path / "checkpoint"
    whole = Trainer(build(parts, "fm"), settings=settings)
    history = whole.fit(*parts)
    rate, best = 0.3, math.inf
    for record in history.records:
        assert record.learning_rate == pytest.approx(rate)
        loss = record.valid["log_loss"]
        assert loss is not None
        rate, best = (rate, loss) if loss < best else (rate * 0.1, best)
    assert rate < 0.01
    half = Trainer(build(parts, "fm"), settings=settings.model_copy(update={"epochs": 4}), checkpoint=checkpoint)
    half.fit(*parts)
    resumed = Trainer(build(parts, "fm"), settings=settings, checkpoint=checkpoint)
    resumed.restore(checkpoint)
    again = resumed.fit(*parts)
    assert [r.learning_rate for r in again.records] == [r.learning_rate for r in history.records]
    for one, other in zip(whole.model.parameters(), resumed.model.parameters(), strict=True):
        torch.testing.assert_close(one, other, rtol=0, atol=0)
