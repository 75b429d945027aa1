"""Step: one batch, without a Trainer. See test_execution.py for precision, parts and optimisers."""

from __future__ import annotations

import itertools

import pytest
import torch
from torch import Tensor, nn

from fieldwise.data.batch import Batch
from fieldwise.layers import FieldEmbedding
from fieldwise.layout import FieldLayout, Layout
from fieldwise.models import build
from fieldwise.objectives import Binary
from fieldwise.settings import TrainingSettings
from fieldwise.training.optimizers import GateTraining, embedding_tables, make_optimizers
from fieldwise.training.step import Step

LAYOUT = Layout((FieldLayout("a", "categorical", 9), FieldLayout("b", "numeric", 2)))
SETTINGS = TrainingSettings(
    batch_size=8, micro_batch=3, precision="float32", device="cpu", embedding_optimizer="row_adam"
)


def batch() -> Batch:
    return Batch(torch.arange(8).unsqueeze(1), torch.ones(8, 1), label=(torch.arange(8) % 2).float())


def test_a_step_moves_the_weights_and_gives_the_loss_before() -> None:
    torch.manual_seed(0)
    step = Step(build("fm", LAYOUT, {"embedding_dim": 3}), settings=SETTINGS)
    label = batch().label
    assert label is not None
    with torch.no_grad():
        before = Binary().loss(step.model(batch()), label, None)
    first, second = step(batch(), 0.1), step(batch(), 0.1)
    assert float(first) == pytest.approx(float(before), rel=1e-5)
    assert float(second) < float(first)
    assert not first.requires_grad


def test_gradients_of_tables_are_sparse_and_begin_anew() -> None:
    step = Step(build("lr", LAYOUT), settings=SETTINGS)
    (table,) = step.tables
    for _ in range(2):
        step.backward(batch())
        assert table.grad is not None
        assert table.grad.is_sparse
        # Eight ids, and the numeric field's two rows once in each of three parts.
        assert table.grad._nnz() == 8 + 3 * 2


def test_another_objective() -> None:
    class Squares(Binary):
        def loss(self, logit: Tensor, label: Tensor, weight: Tensor | None) -> Tensor:
            return (logit - 7.0).square().mean()

    step = Step(build("lr", LAYOUT), settings=SETTINGS, objective=Squares())
    for _ in range(200):
        loss = step(batch(), 0.1)
    assert float(loss) < 0.1


def test_each_weight_has_one_optimizer() -> None:
    model = build("aim", LAYOUT, {"embedding_dim": 3, "dnn_hidden": (4,)})
    gates = [weight for name, weight in model.named_parameters() if name.startswith("gates.")]
    optimizers = make_optimizers(model, Step(model, settings=SETTINGS).settings, GateTraining(gates, 0.1, 0.01, 0.6))
    owned = {name: [id(w) for g in o.param_groups for w in g["params"]] for name, o in optimizers.items()}
    assert owned["gates"] == [id(weight) for weight in gates]
    assert owned["tables"] == [id(table) for table in embedding_tables(model)]
    assert sorted(itertools.chain(*owned.values())) == sorted(id(weight) for weight in model.parameters())
    assert all(module.table.sparse for module in model.modules() if isinstance(module, FieldEmbedding))


def test_weights_that_are_frozen_stay() -> None:
    model = build("deepfm", LAYOUT, {"embedding_dim": 3, "dnn_hidden": (4,)})
    frozen = next(module for module in model.modules() if isinstance(module, nn.Linear))
    before = frozen.weight.requires_grad_(False).clone()
    Step(model, settings=SETTINGS)(batch(), 0.1)
    assert torch.equal(frozen.weight, before)
