"""The plan of a step: what `auto` comes to, and that parts, precision and optimiser do what they say."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from fieldwise.architecture import Architecture, summarise_fields
from fieldwise.data.batch import Batch
from fieldwise.errors import TrainingError
from fieldwise.layers.embeddings import FieldEmbedding
from fieldwise.layout import FieldLayout, Layout
from fieldwise.models import registry
from fieldwise.models.base import CTRModel
from fieldwise.native import interacting as native
from fieldwise.native import rows as native_rows
from fieldwise.native import tuple_products as native_products
from fieldwise.objectives import Binary
from fieldwise.settings import TrainingSettings
from fieldwise.training import execution as plan
from fieldwise.training.execution import describe, settle
from fieldwise.training.trainer import Trainer

LAYOUT = Layout((FieldLayout("a", "categorical", 50), FieldLayout("b", "categorical", 9)))
SMALL = {"embedding_dim": 4, "attention_dim": 8, "num_layers": 2}


def model_of(layout: Layout = LAYOUT, name: str = "autoint", **settings: Any) -> CTRModel:
    torch.manual_seed(0)
    own = {**SMALL, **settings} if name == "autoint" else settings
    return registry.build(name, layout, registry.resolve(name, settings=own))


def batch_of(rows: int = 40, *, weighted: bool = False) -> Batch:
    generator = torch.Generator().manual_seed(1)
    ids = torch.stack([torch.randint(0, field.size, (rows,), generator=generator) for field in LAYOUT], dim=1)
    label = (torch.rand(rows, generator=generator) < 0.4).float()
    weight = torch.rand(rows, generator=generator) if weighted else None
    return Batch(ids, torch.zeros(rows, 0), label=label, weight=weight)


def gradients(model: CTRModel) -> dict[str, Tensor]:
    return {n: p.grad.to_dense() for n, p in model.named_parameters() if p.grad is not None}


def test_the_rule(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plan, "multiplies_bfloat16", lambda device: False)
    settled = settle(TrainingSettings(batch_size=4096, device="cpu"), model_of())
    assert (settled.precision, settled.embedding_optimizer, settled.micro_batch) == ("float32", "adam", 1024)
    assert settled.device == "cpu"
    monkeypatch.setattr(plan, "multiplies_bfloat16", lambda device: True)
    assert settle(TrainingSettings(device="cpu"), model_of()).precision == "bfloat16"
    assert settle(TrainingSettings(device="cpu"), model_of(name="lr")).micro_batch == 1024
    assert settle(TrainingSettings(device="cpu", batch_size=9000), model_of(name="lr")).micro_batch == 9000
    normalised = model_of(dnn_hidden=[4], dnn_batch_norm=True)
    assert settle(TrainingSettings(device="cpu", batch_size=9000), normalised).micro_batch == 9000


@pytest.mark.parametrize(("rows", "expected"), [(8 * 2 * 1024, "adam"), (8 * 2 * 1024 + 1, "row_adam")])
def test_the_embedding_optimiser_follows_the_size_of_the_table(rows: int, expected: str) -> None:
    layout = Layout((FieldLayout("a", "categorical", rows - 1 - 9), FieldLayout("b", "categorical", 9)))
    assert layout.num_rows == rows
    assert settle(TrainingSettings(batch_size=1024), model_of(layout)).embedding_optimizer == expected


def test_the_rule_for_kernels(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plan, "multiplies_bfloat16", lambda device: True)
    monkeypatch.setattr(native, "why_not", lambda: None)
    asked = TrainingSettings(device="cpu", batch_size=9000)
    settled = settle(asked, model_of())
    assert (settled.kernels, settled.micro_batch) == ("fused", 8192)
    assert settle(settled, model_of()) == settled
    assert "fused kernels" in describe(settled)
    for other, model in (
        (asked.model_copy(update={"precision": "float32"}), model_of()),
        (asked.model_copy(update={"kernels": "torch"}), model_of()),
        (asked, model_of(name="lr")),
        (asked, model_of(output_projection=True)),
        (asked, model_of(num_heads=8)),  # heads of one number
    ):
        assert settle(other, model).kernels == "torch"
    monkeypatch.setattr(native, "why_not", lambda: "no C++ compiler found")
    settled = settle(asked, model_of())
    assert (settled.kernels, settled.micro_batch) == ("torch", 1024)


def test_nothing_is_compiled_where_torch_was_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(native, "why_not", lambda: pytest.fail("compiled"))
    monkeypatch.setattr(native_rows, "why_not", lambda: pytest.fail("compiled"))
    monkeypatch.setattr(native_products, "why_not", lambda: pytest.fail("compiled"))
    asked = TrainingSettings(device="cpu", precision="bfloat16", embedding_optimizer="row_adam", kernels="torch")
    assert settle(asked, model_of()).kernels == "torch"
    assert settle(asked, model_of(name="aim")).kernels == "torch"


def test_kernels_are_fused_for_rows_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(native_rows, "why_not", lambda: None)
    asked = TrainingSettings(device="cpu", precision="float32", embedding_optimizer="row_adam", batch_size=2000)
    settled = settle(asked, model_of())
    # The layers stay with torch, in parts that fit their cache.
    assert (settled.kernels, settled.micro_batch) == ("fused", 1024)
    assert settle(settled, model_of()) == settled
    assert Trainer(model_of(), settings=asked).optimizers["tables"].fused
    for change in ({"embedding_optimizer": "row_adagrad"}, {"embedding_optimizer": "adam"}, {"kernels": "torch"}):
        other = asked.model_copy(update=change)
        assert settle(other, model_of()).kernels == "torch"
        assert not getattr(Trainer(model_of(), settings=other).optimizers["tables"], "fused", False)
    monkeypatch.setattr(native_rows, "why_not", lambda: "no C++ compiler found")
    assert settle(asked, model_of()).kernels == "torch"
    with pytest.raises(TrainingError, match=r"no C\+\+ compiler found"):
        settle(asked.model_copy(update={"kernels": "fused"}), model_of())


def test_kernels_are_fused_for_interactions(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(native_products, "why_not", lambda: None)
    asked = TrainingSettings(device="cpu", precision="float32", embedding_optimizer="adam")
    assert settle(asked, model_of(name="aim")).kernels == "fused"
    # Whatever a search leaves: what was settled before it must hold after it.
    nothing = Architecture(fields=summarise_fields(LAYOUT), embedding_dim=4)
    for name in ("aim", "autofis"):
        settled = settle(asked, model_of(name=name, architecture=nothing))
        assert settled.kernels == "fused"
        assert settle(settled, model_of(name=name)) == settled
    assert settle(asked, model_of(name="fm")).kernels == "torch"
    monkeypatch.setattr(native_products, "why_not", lambda: "no C++ compiler found")
    assert settle(asked, model_of(name="aim")).kernels == "torch"
    with pytest.raises(TrainingError, match=r"no C\+\+ compiler found"):
        settle(asked.model_copy(update={"kernels": "fused"}), model_of(name="aim"))


@pytest.mark.parametrize(
    ("settings", "name", "message"),
    [
        ({"precision": "bfloat16"}, "autoint", "fused kernels cannot be had: no C\\+\\+ compiler found"),
        ({"precision": "float32"}, "autoint", "precision is float32"),
        ({"precision": "bfloat16"}, "lr", "no layer that they compute"),
    ],
)
def test_fused_kernels_that_cannot_be_had_are_refused(
    monkeypatch: pytest.MonkeyPatch, settings: dict[str, Any], name: str, message: str
) -> None:
    monkeypatch.setattr(native, "why_not", lambda: "no C++ compiler found")
    with pytest.raises(TrainingError, match=message):
        settle(TrainingSettings(device="cpu", kernels="fused", **settings), model_of(name=name))


def test_fused_kernels_compute_training_and_not_prediction(monkeypatch: pytest.MonkeyPatch) -> None:
    if reason := native.why_not():
        pytest.skip(reason)
    calls: list[int] = []
    interact = native.interact

    def counting(x: Tensor, *arguments: Any) -> Tensor:
        calls.append(len(x))
        return interact(x, *arguments)

    monkeypatch.setattr(native, "interact", counting)
    for kernels, expected in (("fused", [40, 40]), ("torch", [])):
        calls.clear()
        settings = TrainingSettings(batch_size=40, precision="bfloat16", kernels=kernels, device="cpu")
        trainer = Trainer(model_of(), settings=settings)
        trainer.step(batch_of(), 0.01)
        assert calls == expected
        trainer.model.eval()
        assert trainer.model(batch_of()).dtype == torch.float32
        assert calls == expected


@pytest.mark.parametrize(("rows", "batch"), [(None, 1024), (12_288, 1024), (12_000, 512), (1_600, 128), (1, 128)])
def test_few_rows_make_small_batches(rows: int | None, batch: int) -> None:
    settled = settle(TrainingSettings(device="cpu"), model_of(), rows=rows)
    assert (settled.batch_size, settled.micro_batch) == (batch, batch)
    assert settle(TrainingSettings(batch_size=512), model_of(), rows=rows).batch_size == 512


def test_what_is_said_stands() -> None:
    said = TrainingSettings(
        device="cpu",
        batch_size=100,
        precision="bfloat16",
        kernels="torch",
        embedding_optimizer="row_adagrad",
        micro_batch=30,
        allocator="system",
        monitor="auc",
    )
    assert settle(said, model_of()) == said
    assert describe(said) == (
        "training on cpu, batches of 100 in parts of 30, bfloat16 products, torch kernels, "
        "row_adagrad for the embeddings"
    )
    assert describe(said, threads=1).startswith("training on cpu with 1 thread, batches of 100 in parts of 30, ")
    assert describe(said, threads=2).startswith("training on cpu with 2 threads, batches of 100 in parts of 30, ")
    assert settle(settle(TrainingSettings(), model_of()), model_of()) == settle(TrainingSettings(), model_of())


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("size", [1, 7, 40])
def test_the_gradients_of_the_parts_add_up(size: int, weighted: bool) -> None:
    def after(micro_batch: int) -> tuple[float, dict[str, Tensor]]:
        settings = TrainingSettings(batch_size=40, micro_batch=micro_batch, precision="float32", device="cpu")
        trainer = Trainer(model_of(), settings=settings)
        loss = trainer.step.backward(batch_of(weighted=weighted))
        return float(loss), gradients(trainer.model)

    loss, parts = after(size)
    expected_loss, whole = after(40)
    assert loss == pytest.approx(expected_loss, rel=1e-5)
    assert parts.keys() == whole.keys()
    for name, expected in whole.items():
        torch.testing.assert_close(parts[name], expected, rtol=1e-4, atol=1e-6)


def test_the_parts_of_a_weightless_batch_weigh_nothing() -> None:
    batch = batch_of(weighted=True)
    assert batch.weight is not None
    batch.weight.zero_()
    trainer = Trainer(model_of(), settings=TrainingSettings(batch_size=40, micro_batch=7, precision="float32"))
    assert float(trainer.step.backward(batch)) == 0.0
    assert all(not gradient.any() for gradient in gradients(trainer.model).values())


@pytest.mark.parametrize("kernels", ["torch", "fused"])
def test_bfloat16_trains_float32_weights(kernels: Any) -> None:
    if kernels == "fused" and (reason := native.why_not()):
        pytest.skip(reason)

    def losses(precision: Any) -> tuple[list[float], CTRModel]:
        chosen = kernels if precision == "bfloat16" else "torch"
        settings = TrainingSettings(batch_size=40, precision=precision, kernels=chosen, device="cpu")
        trainer = Trainer(model_of(), settings=settings)
        return [float(trainer.step(batch_of(), 0.01)) for _ in range(60)], trainer.model

    exact, _ = losses("float32")
    rounded, model = losses("bfloat16")
    assert rounded != exact
    assert exact[-1] < 0.5 * exact[0]
    assert rounded[-1] == pytest.approx(exact[-1], abs=0.05)
    assert {p.dtype for p in model.parameters()} == {torch.float32}
    assert model(batch_of()).dtype == torch.float32


@pytest.mark.parametrize("optimizer", ["adam", "row_adam"])
def test_float32_steps_are_those_of_plain_adam(optimizer: Any) -> None:
    """Where every row is read in every step, all is what `torch.optim.Adam` over all weights does."""
    layout = Layout((FieldLayout("a", "categorical", 9), FieldLayout("b", "categorical", 9)))
    rows = torch.arange(90)
    batch = Batch(torch.stack([rows % 9, rows // 10], dim=1), torch.zeros(90, 0), label=(rows % 2).float())
    plain = model_of(layout)
    ours = copy.deepcopy(plain)
    reference = torch.optim.Adam(plain.parameters(), lr=0.01)
    for _ in range(10):
        reference.zero_grad()
        assert batch.label is not None
        Binary().loss(plain(batch), batch.label, None).backward()  # type: ignore[no-untyped-call]
        reference.step()
    settings = TrainingSettings(batch_size=90, precision="float32", embedding_optimizer=optimizer, device="cpu")
    trainer = Trainer(ours, settings=settings)
    for _ in range(10):
        trainer.step(batch, 0.01)
    for name, expected in plain.state_dict().items():
        torch.testing.assert_close(ours.state_dict()[name], expected, rtol=1e-3, atol=1e-4)


def test_settings_reach_the_embedding_optimiser() -> None:
    settings = TrainingSettings(
        learning_rate=0.01, embedding_learning_rate=0.1, embedding_l2=0.3, embedding_weight_decay=0.4, warmup_steps=2
    )
    trainer = Trainer(model_of(), settings=settings)
    trainer.step(batch_of(), 0.005)
    tables, network = trainer.optimizers["tables"], trainer.optimizers["network"]
    assert tables.param_groups[0]["lr"] == pytest.approx(0.05)
    assert network.param_groups[0]["lr"] == 0.005
    assert (tables.param_groups[0]["l2"], tables.param_groups[0]["weight_decay"]) == (0.3, 0.4)


def test_models_of_one_kind_of_weight() -> None:
    class OnlyNetwork(CTRModel):
        def __init__(self) -> None:
            super().__init__(LAYOUT)
            self.scale = nn.Parameter(torch.ones(()))

        def forward(self, batch: Batch) -> Tensor:
            return self.scale * batch.categorical[:, 0]

    class OnlyTable(CTRModel):
        def __init__(self) -> None:
            super().__init__(LAYOUT)
            self.table = FieldEmbedding(LAYOUT, 1)

        def forward(self, batch: Batch) -> Tensor:
            return self.table(batch).sum(dim=(1, 2))

    for model, owner in ((OnlyNetwork(), "network"), (OnlyTable(), "tables")):
        trainer = Trainer(model, settings=TrainingSettings(clip_norm=1.0))
        assert list(trainer.optimizers) == [owner]
        first = float(trainer.step(batch_of(), 0.1))
        assert float(trainer.step(batch_of(), 0.1)) < first


@pytest.mark.parametrize("optimizer", ["adam", "row_adam", "row_adagrad"])
def test_the_padding_row_never_moves(optimizer: Any) -> None:
    layout = Layout((FieldLayout("a", "categorical", 6), FieldLayout("m", "multi_valued", 6)))
    settings = TrainingSettings(embedding_optimizer=optimizer, embedding_l2=0.1, embedding_weight_decay=0.1)
    trainer = Trainer(model_of(layout, missing="zero"), settings=settings)
    before = trainer.step.tables[0].detach().clone()
    lists = torch.tensor([[2, 3, -1], [0, -1, -1], [4, -1, -1]])
    batch = Batch(torch.tensor([[0], [2], [3]]), torch.zeros(3, 0), (lists,), label=torch.tensor([1.0, 0.0, 1.0]))
    for _ in range(4):
        trainer.step(batch, 0.1)
    moved = (trainer.step.tables[0] != before).any(dim=1).nonzero().squeeze(1).tolist()
    # Row 0 is padding; the fields begin at rows 1 and 7.
    assert moved == [1 + 2, 1 + 3, 7 + 2, 7 + 3, 7 + 4]
    assert not trainer.step.tables[0][0].any()


def test_what_is_process_wide_is_set_by_a_function_that_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[str] = []
    monkeypatch.setattr(plan, "keep_freed_memory", lambda: calls.append("keep"))
    for allocator in ("auto", "system"):
        plan.apply_process_settings(TrainingSettings(allocator=allocator))  # type: ignore[arg-type]
    assert calls == []
    plan.apply_process_settings(TrainingSettings(allocator="keep"))
    assert calls == ["keep"]


@pytest.mark.parametrize("name", registry.names())
def test_a_sketch_is_settled_as_the_model_is(name: str) -> None:
    asked = TrainingSettings(batch_size=9000)
    assert settle(asked, registry.sketch(name, LAYOUT)) == settle(asked, model_of(name=name))
