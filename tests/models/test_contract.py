"""What every registered model must do; a new model is tested here from the moment it is registered."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F
from safetensors.torch import load_file, save_file

from fieldwise.data.batch import Batch
from fieldwise.layers.embeddings import FieldEmbedding
from fieldwise.layout import FIRST_TOKEN, FieldLayout, Layout
from fieldwise.models import CTRModel, ExplainsByAttention, build, count_parameters, names, presets, resolve

pytestmark = pytest.mark.parametrize("name", names())


def seeded(name: str, layout: Layout, seed: int = 0) -> CTRModel:
    torch.manual_seed(seed)
    return build(name, layout)


def train(model: CTRModel, batch: Batch, *, steps: int, lr: float = 0.02) -> CTRModel:
    optimizer = torch.optim.Adam(model.parameters(), lr=lr)
    model.train()
    for _ in range(steps):
        optimizer.zero_grad()
        F.binary_cross_entropy_with_logits(model(batch), batch.label).backward()
        optimizer.step()
    return model.eval()


def take(batch: Batch, rows: slice) -> Batch:
    return Batch(
        categorical=batch.categorical[rows],
        numeric=batch.numeric[rows],
        multi_valued=tuple(ids[rows] for ids in batch.multi_valued),
        label=batch.label[rows],
    )


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
    model = train(seeded(name, layout), make_batch(layout, 64, seed=1), steps=3).train()
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
    model = train(seeded(name, layout), batch, steps=60, lr=0.05)
    with torch.no_grad():
        logits = model(batch)
    assert ((logits > 0) == (batch.label > 0)).all()
    assert float(F.binary_cross_entropy_with_logits(logits, batch.label)) < 0.15


def test_saved_and_loaded_weights_predict_bit_for_bit_the_same(name, layouts, make_batch, tmp_path):
    layout, batch = layouts["mixed"], make_batch(layouts["mixed"], 32)
    model = train(seeded(name, layout), batch, steps=2)
    save_file({key: value.contiguous() for key, value in model.state_dict().items()}, tmp_path / "weights.safetensors")
    other = seeded(name, layout, seed=1).eval()
    other.load_state_dict(load_file(tmp_path / "weights.safetensors"))
    with torch.no_grad():
        assert torch.equal(model(batch), other(batch))


def test_the_same_seed_gives_the_same_run(name, layouts, make_batch):
    layout, batch = layouts["mixed"], make_batch(layouts["mixed"], 32)
    first, second = (train(seeded(name, layout), batch, steps=3) for _ in range(2))
    assert all(torch.equal(value, second.state_dict()[key]) for key, value in first.state_dict().items())


def test_missing_everywhere_is_a_row_like_any_other(name, layouts, make_batch):
    layout = layouts["mixed"]
    batch = make_batch(layout, 8, missing=1.1)
    assert batch.numeric.isnan().all()
    model = train(seeded(name, layout), batch, steps=2)
    logits = model(batch)
    assert logits.isfinite().all()
    torch.testing.assert_close(logits, logits[:1].expand(8))
    assert all(parameter.isfinite().all() for parameter in model.parameters())


def test_a_row_is_predicted_alone(name, layouts, make_batch):
    layout, batch = layouts["mixed"], make_batch(layouts["mixed"], 16)
    model = train(seeded(name, layout), batch, steps=3)
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
