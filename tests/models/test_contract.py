"""What every registered model must do; a new model is tested here from the moment it is registered.

Training goes the real way: `fieldwise.train` or the Trainer, with sparse gradients and in reduced precision.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import torch
import torch.nn.functional as F

import fieldwise as fw
from fieldwise.data.batch import Batch
from fieldwise.data.dataset import Dataset
from fieldwise.encoding.encoded import EncodedRows, EncodingReport, Ragged
from fieldwise.layers.embeddings import FieldEmbedding
from fieldwise.layout import FIRST_TOKEN, FieldLayout, Layout
from fieldwise.models import (
    CTRModel,
    ExplainsByAttention,
    build,
    count_parameters,
    export_program,
    names,
    presets,
    registry,
    resolve,
    settings_model,
)
from fieldwise.predictor import Predictor
from fieldwise.schema import Categorical, MultiValued, Numeric, Schema
from fieldwise.settings import TrainingSettings
from fieldwise.training.evaluation import predict_logits
from fieldwise.training.trainer import Trainer

pytestmark = pytest.mark.parametrize("name", names())

SMALL: dict[str, Any] = {
    "embedding_dim": 4,
    "attention_dim": 8,
    "num_layers": 2,
    "cin_widths": (4, 4),
    "sub_widths": (4, 2),
    "width": 8,
    "dnn_hidden": (8,),
}
"""Settings for tiny networks; each model takes those that it has."""

USERS, ROWS, BATCH = 500, 600, 16
"""So many users that their rows of the table are worth an optimiser of their own."""

SCHEMA = Schema(
    label="click",
    fields={"user": Categorical(), "device": Categorical(), "price": Numeric(), "tags": MultiValued(separator="|")},
)


def table() -> pa.Table:
    """Clicks that the device decides, beside a large vocabulary, a number and a list that mean nothing."""
    rng = np.random.default_rng(0)
    device = rng.integers(0, 4, ROWS)
    return pa.table(
        {
            "click": device // 2,
            "user": [f"u{row % USERS}" for row in range(ROWS)],
            "device": [f"d{d}" for d in device],
            "price": pa.array(rng.normal(size=ROWS), mask=rng.random(ROWS) < 0.1),
            "tags": ["|".join(rng.choice(["a", "b", "c"], rng.integers(1, 4), replace=False)) for _ in range(ROWS)],
        }
    )


def small(name: str, **settings: Any) -> dict[str, Any]:
    """Small settings of a model, those that it has."""
    return {key: value for key, value in {**SMALL, **settings}.items() if key in settings_model(name).model_fields}


def real_way(name: str, out: Path | None = None) -> Predictor:
    """Search where the model searches, train, and save where `out` says so."""
    chosen = {
        **{f"model.{key}": value for key, value in small(name, dropout=0.1).items()},
        "training.epochs": 2,
        "training.batch_size": BATCH,
        "training.learning_rate": 0.02,
        "training.precision": "bfloat16",
        "data.min_count": 1,
    }
    if registry.search_defaults(name) is not None:
        chosen |= {"search.epochs": 1, "search.threshold": 0.0}
    return fw.train(table(), schema=SCHEMA, model=name, settings=chosen, out=out, progress=False)


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A function that gives a model's predictor, trained and saved once, and where it lies."""
    done: dict[str, tuple[Predictor, Path]] = {}

    def get(name: str) -> tuple[Predictor, Path]:
        if name not in done:
            path = tmp_path_factory.mktemp("contract") / "model"
            done[name] = real_way(name, path), path
        return done[name]

    return get


def seeded(name: str, layout: Layout, seed: int = 0) -> CTRModel:
    torch.manual_seed(seed)
    return build(name, layout, small(name))


def dataset_of(layout: Layout, batch: Batch) -> Dataset:
    """The rows of a batch as a data set."""
    lists = tuple(Ragged.from_lists([[i for i in row if i >= 0] for row in m.tolist()]) for m in batch.multi_valued)
    rows = EncodedRows(batch.categorical.int().numpy(), batch.numeric.numpy(), lists, EncodingReport())
    return Dataset(layout, rows, label=None if batch.label is None else batch.label.numpy())


def train(model: CTRModel, batch: Batch, *, epochs: int, lr: float = 0.02, size: int = 1024) -> CTRModel:
    """Train on the rows of a batch by the Trainer."""
    settings = TrainingSettings(epochs=epochs, batch_size=size, learning_rate=lr, precision="float32")
    Trainer(model, settings=settings).fit(dataset_of(model.layout, batch))
    return model


def take(batch: Batch, rows: slice) -> Batch:
    return Batch(
        categorical=batch.categorical[rows],
        numeric=batch.numeric[rows],
        multi_valued=tuple(ids[rows] for ids in batch.multi_valued),
        label=batch.label[rows],
    )


def test_trained_saved_and_loaded_it_predicts_the_same(name, trained):
    predictor, path = trained(name)
    training = predictor.settings.training
    assert (training.embedding_optimizer, training.precision) == ("row_adam", "bfloat16")
    probability = predictor.predict(table())
    assert ((probability >= 0) & (probability <= 1)).all()
    assert len(np.unique(probability)) > 1
    assert np.array_equal(fw.load(path).predict(table()), probability)
    assert all(weight.dtype != torch.bfloat16 for weight in predictor.model.network.state_dict().values())


def test_every_objective_trains_saves_and_predicts(name, tmp_path):
    """Numbers far from zero, on which the device decides; clicks are what all other tests are about."""
    rows = table()
    label = 1000 + 50 * rows["click"].to_numpy() + np.random.default_rng(1).normal(size=ROWS)
    rows = rows.set_column(0, "click", pa.array(label))
    settings = {f"model.{key}": value for key, value in small(name).items()}
    settings |= {"training.epochs": 12, "training.batch_size": 64, "training.learning_rate": 0.01}
    if registry.search_defaults(name) is not None:
        settings |= {"search.epochs": 1, "search.threshold": 0.0}
    predictor = fw.train(
        rows, schema=SCHEMA, model=name, objective="regression", settings=settings, out=tmp_path / "m", progress=False
    )
    metrics = predictor.evaluate(rows, rows="all")
    assert metrics.rmse < 0.9 * np.std(label)
    assert abs(metrics.bias) < 15
    prediction = fw.load(tmp_path / "m").predict(rows)
    assert np.array_equal(prediction, predictor.predict(rows))
    assert 950 < prediction.min() < prediction.max() < 1100


def test_the_same_seed_gives_the_same_run(name, trained):
    predictor, _ = trained(name)
    again = real_way(name)
    expected = predictor.model.network.state_dict()
    assert all(torch.equal(value, expected[key]) for key, value in again.model.network.state_dict().items())


def test_one_row_and_no_row_are_predicted_and_one_is_evaluated(name, trained):
    predictor, _ = trained(name)
    whole = predictor.predict(table())
    assert predictor.predict(table().slice(3, 1)) == pytest.approx(whole[3:4], rel=1e-4)
    assert predictor.predict(table().slice(0, 0)).shape == (0,)
    metrics = predictor.evaluate(table().slice(3, 1))
    assert (metrics.rows, metrics.auc) == (1, None)
    assert np.isfinite(metrics.log_loss)


@pytest.mark.parametrize("kinds", ["mixed", "numeric"])
def test_exported_it_computes_the_same_for_any_number_of_rows(name, layouts, make_batch, kinds):
    layout = layouts[kinds]
    model = train(seeded(name, layout), make_batch(layout, 32), epochs=2)
    program = export_program(model).module()
    for size in (11, 1, 2, 0):
        batch = make_batch(layout, size, seed=size)
        assert torch.equal(program(batch.categorical, batch.numeric, batch.multi_valued), model(batch)), size


@pytest.mark.parametrize("kinds", ["mixed", "categorical", "numeric", "multi_valued"])
def test_it_trains_on_every_kind_of_field_and_on_a_last_batch_of_one_row(name, layouts, make_batch, kinds):
    layout = layouts[kinds]
    model = train(seeded(name, layout), make_batch(layout, 2 * BATCH + 1), epochs=2, size=BATCH)
    assert all(weight.isfinite().all() for weight in model.state_dict().values())
    for module in model.modules():
        if isinstance(module, FieldEmbedding):
            assert not module.table.weight[0].any()
    assert np.isfinite(predict_logits(model, dataset_of(layout, make_batch(layout, 5, seed=1)))).all()


@pytest.mark.parametrize("kinds", ["mixed", "categorical", "numeric", "multi_valued"])
@pytest.mark.parametrize("size", [32, 1, 0])
def test_forward_gives_one_finite_logit_per_row(name, layouts, make_batch, kinds, size):
    model = seeded(name, layouts[kinds]).eval()
    logits = model(make_batch(layouts[kinds], size))
    assert logits.shape == (size,)
    assert logits.dtype == torch.float32
    assert logits.isfinite().all()


@pytest.mark.parametrize("kinds", ["mixed", "categorical", "numeric", "multi_valued"])
def test_backward_reaches_every_parameter_but_the_zero_row(name, layouts, make_batch, kinds):
    layout = layouts[kinds]
    # A few steps first: some parameters start where their gradient is zero.
    model = train(seeded(name, layout), make_batch(layout, 64, seed=1), epochs=3).train()
    for module in model.modules():
        if isinstance(module, FieldEmbedding):
            module.table.sparse = False
    batch = make_batch(layout, 64)
    model.zero_grad()
    F.binary_cross_entropy_with_logits(model(batch), batch.label).backward()
    for parameter_name, parameter in model.named_parameters():
        gradient = parameter.grad
        assert gradient is not None, parameter_name
        assert gradient.isfinite().all(), parameter_name
        assert gradient.any(), parameter_name
    tables = [module.table.weight for module in model.modules() if isinstance(module, FieldEmbedding)]
    assert tables
    for table in tables:
        assert not table.grad[0].any()
        assert not table[0].any()


def test_overfits_a_first_order_effect(name):
    """The label is one field's token; the other field is noise."""
    generator = torch.Generator().manual_seed(0)
    layout = Layout((FieldLayout("signal", "categorical", 6), FieldLayout("noise", "categorical", 6)))
    ids = torch.randint(FIRST_TOKEN, 6, (128, 2), generator=generator)
    batch = Batch(categorical=ids, numeric=torch.zeros(128, 0), label=(ids[:, 0] >= 4).float())
    torch.manual_seed(0)
    model = train(build(name, layout), batch, epochs=60, lr=0.05)
    with torch.no_grad():
        logits = model(batch)
    assert ((logits > 0) == (batch.label > 0)).all()
    assert float(F.binary_cross_entropy_with_logits(logits, batch.label)) < 0.15


def test_missing_everywhere_is_a_row_like_any_other(name, layouts, make_batch):
    layout = layouts["mixed"]
    batch = make_batch(layout, 8, missing=1.1)
    assert batch.numeric.isnan().all()
    model = train(seeded(name, layout), batch, epochs=2)
    logits = model(batch)
    assert logits.isfinite().all()
    torch.testing.assert_close(logits, logits[:1].expand(8))
    assert all(parameter.isfinite().all() for parameter in model.parameters())


def test_a_row_is_predicted_alone(name, layouts, make_batch):
    layout, batch = layouts["mixed"], make_batch(layouts["mixed"], 16)
    model = train(seeded(name, layout), batch, epochs=3)
    logits = model(batch)
    others = make_batch(layout, 16, seed=5)
    head = take(batch, slice(0, 1))
    mixed = replace(
        others,
        categorical=torch.cat([head.categorical, others.categorical[1:]]),
        numeric=torch.cat([head.numeric, others.numeric[1:]]),
        multi_valued=tuple(torch.cat([a, b[1:]]) for a, b in zip(head.multi_valued, others.multi_valued, strict=True)),
    )
    assert torch.equal(model(mixed)[0], logits[0])
    assert not torch.equal(model(mixed)[1:], logits[1:])
    torch.testing.assert_close(model(head), logits[:1], atol=1e-6, rtol=1e-5)


def test_presets_build_and_run(name, layouts, make_batch):
    layout = layouts["mixed"]
    for preset in presets(name):
        model = build(name, layout, resolve(name, preset=preset)).eval()
        assert model(make_batch(layout, 3)).isfinite().all(), preset


def test_tables_are_most_of_the_parameters_of_a_large_vocabulary(name):
    layout = Layout((FieldLayout("a", "categorical", 100_000), FieldLayout("b", "numeric", 2)))
    model = build(name, layout)
    inside = count_parameters(model)
    outside = count_parameters(model, embeddings=False)
    assert inside == sum(p.numel() for p in model.parameters())
    assert outside <= inside - layout.num_rows


def test_attention_is_a_distribution_over_fields(name, layouts, make_batch):
    layout = layouts["mixed"]
    model = seeded(name, layout).eval()
    if not isinstance(model, ExplainsByAttention):
        assert not hasattr(model, "attention")
        return
    for weights in model.attention(make_batch(layout, 9)):
        assert weights.shape[0] == 9
        assert weights.shape[2:] == (len(layout), len(layout))
        assert (weights >= 0).all()
        torch.testing.assert_close(weights.sum(-1), torch.ones(weights.shape[:3]))
