"""FM and its relatives against loops over pairs and triples in float64, their identities, and published counts."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
import torch
from torch import nn

from fieldwise.architecture import Architecture, Interaction, summarise_fields
from fieldwise.data.batch import Batch
from fieldwise.errors import SettingsError
from fieldwise.layers.embeddings import FieldEmbedding
from fieldwise.layers.mlp import MLP, BatchNorm
from fieldwise.layout import MISSING, FieldLayout, Layout
from fieldwise.models import CTRModel, build, count_parameters, resolve
from fieldwise.models.afm import AFM
from fieldwise.models.fwfm import FwFM
from fieldwise.models.hofm import HOFM
from fieldwise.models.nfm import NFM

NAMES = ["fm", "fwfm", "ffm", "afm", "hofm", "nfm"]

ONE_FIELD = Layout((FieldLayout("only", "categorical", 8),))


def categorical(fields: int, num_rows: int) -> Layout:
    """A layout of categorical fields whose table has this many rows, the one of no field included."""
    size, more = divmod(num_rows - 1, fields)
    return Layout(tuple(FieldLayout(f"f{i}", "categorical", size + (i < more)) for i in range(fields)))


AVAZU = categorical(24, 645_195)
CRITEO = Layout(
    tuple(FieldLayout(f"I{i}", "numeric", 2) for i in range(1, 14))
    + tuple(FieldLayout(f"C{i}", "categorical", 5) for i in range(1, 27))
)


def make(name: str, layout: Layout, **settings: object) -> CTRModel:
    """A model in evaluation mode with every parameter well away from its start."""
    model = build(name, layout, settings).eval()
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for key, parameter in model.named_parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=generator) * 0.4)
            if key.endswith("table.weight"):
                parameter[0] = 0.0
    return model


def parameters(model: CTRModel) -> dict[str, np.ndarray]:
    return {name: value.detach().double().numpy() for name, value in model.named_parameters()}


def rows_of(model: CTRModel, batch: Batch) -> np.ndarray:
    """What the model's one table gives for the fields of each row, [B, F, columns] in float64."""
    (table,) = (module for module in model.modules() if isinstance(module, FieldEmbedding))
    return table(batch).detach().double().numpy()


def inner_products(x: np.ndarray) -> np.ndarray:
    """<x_i, x_j> of the pairs i < j, [B, P]."""
    pairs = list(itertools.combinations(range(x.shape[1]), 2))
    return np.array([[row[i] @ row[j] for i, j in pairs] for row in x]).reshape(len(x), len(pairs))


def pair_products(x: np.ndarray) -> np.ndarray:
    """x_i * x_j of the pairs i < j, [B, P, D]."""
    return np.array([[row[i] * row[j] for i, j in itertools.combinations(range(x.shape[1]), 2)] for row in x])


def assert_logits(model: CTRModel, batch: Batch, expected: np.ndarray) -> None:
    np.testing.assert_allclose(model(batch).detach().numpy(), expected, atol=1e-5, rtol=1e-5)


@pytest.fixture
def mixed(layouts, make_batch) -> tuple[Layout, Batch]:
    return layouts["mixed"], make_batch(layouts["mixed"], 12)


def test_fm_equals_a_loop_over_pairs(mixed):
    layout, batch = mixed
    model = make("fm", layout, embedding_dim=3)
    rows, p = rows_of(model, batch), parameters(model)
    x, first_order = rows[:, :, :3], rows[:, :, 3].sum(axis=1) + p["embedding.bias"]
    assert_logits(model, batch, first_order + inner_products(x).sum(axis=1))
    half = 0.5 * (x.sum(axis=1) ** 2 - (x**2).sum(axis=1)).sum(axis=1)
    assert_logits(model, batch, first_order + half)


def test_fwfm_equals_a_loop_over_pairs(mixed):
    layout, batch = mixed
    model = make("fwfm", layout, embedding_dim=3)
    rows, p = rows_of(model, batch), parameters(model)
    products = inner_products(rows[:, :, :3]) @ p["pair_weights"]
    assert_logits(model, batch, rows[:, :, 3].sum(axis=1) + p["embedding.bias"] + products)


def test_fwfm_with_a_vector_per_field_in_the_linear_part(mixed):
    layout, batch = mixed
    model = make("fwfm", layout, embedding_dim=3, linear="FiLV")
    x, p = rows_of(model, batch), parameters(model)
    linear = sum(x[:, m] @ u for m, u in enumerate(p["field_linear.weight"].reshape(5, 3)))
    assert_logits(model, batch, linear + p["bias"] + inner_products(x) @ p["pair_weights"])


@pytest.mark.parametrize("tiny", [0.0, 1e-30])
def test_fwfm_with_a_second_vector_per_token_in_the_linear_part_stays_linear_in_numbers(layouts, make_batch, tiny):
    layout = layouts["mixed"]
    batch = make_batch(layout, 12)
    batch.numeric[0, 0] = tiny
    batch.numeric[1, 0] = -0.5
    model = make("fwfm", layout, embedding_dim=3, linear="FeLV")
    rows, p = rows_of(model, batch), parameters(model)
    x, u = rows[:, :, :3], rows[:, :, 3:]
    linear = (x * u).sum(axis=2)
    for column, position in enumerate(layout.numeric):
        table, start = p["embedding.table.weight"], layout.offsets[position]
        missing, value = (table[start + k, :3] @ table[start + k, 3:] for k in (0, 1))
        number = batch.numeric[:, column].double().numpy()
        linear[:, position] = np.where(np.isnan(number), missing, number * value)
    assert_logits(model, batch, linear.sum(axis=1) + p["bias"] + inner_products(x) @ p["pair_weights"])
    model(batch).sum().backward()
    assert all(parameter.grad.isfinite().all() for parameter in model.parameters())


def test_fwfm_refuses_an_unknown_linear_part(layouts):
    with pytest.raises(SettingsError, match="linear must be 'LW', 'FeLV' or 'FiLV', got 'lw'"):
        FwFM(layouts["mixed"], linear="lw")


def test_fwfm_with_all_weights_one_is_fm(mixed):
    layout, batch = mixed
    fm, fwfm = make("fm", layout), build("fwfm", layout, {"initial_weight": 1.0})
    fwfm.load_state_dict(fm.state_dict() | {"pair_weights": fwfm.state_dict()["pair_weights"]})
    torch.testing.assert_close(fwfm(batch), fm(batch))
    assert build("fwfm", layout).pair_weights.tolist() == pytest.approx([0.7] * 10)


def test_ffm_equals_a_loop_over_pairs(mixed):
    layout, batch = mixed
    model = make("ffm", layout, embedding_dim=2)
    rows, p = rows_of(model, batch), parameters(model)
    x = rows[:, :, :-1].reshape(12, 5, 4, 2)
    expected = rows[:, :, -1].sum(axis=1) + p["embedding.bias"]
    for i, j in itertools.combinations(range(5), 2):
        expected += (x[:, i, j - 1] * x[:, j, i]).sum(axis=1)
    assert_logits(model, batch, expected)


def test_ffm_whose_vectors_are_the_same_for_all_fields_is_fm(mixed):
    layout, batch = mixed
    fm, ffm = make("fm", layout, embedding_dim=3), build("ffm", layout, {"embedding_dim": 3})
    table = fm.state_dict()["embedding.embedding.table.weight"]
    wide = torch.cat([table[:, :3].repeat(1, 4), table[:, 3:]], dim=1)
    ffm.load_state_dict(fm.state_dict() | {"embedding.embedding.table.weight": wide})
    torch.testing.assert_close(ffm(batch), fm(batch))


@pytest.mark.parametrize("temperature", [1.0, 0.2])
def test_afm_equals_a_loop_over_pairs(mixed, temperature):
    layout, batch = mixed
    model = make("afm", layout, embedding_dim=3, attention_dim=4, temperature=temperature)
    rows, p = rows_of(model, batch), parameters(model)
    h = pair_products(rows[:, :, :3])
    hidden = np.maximum(h @ p["pairs.hidden.weight"].T + p["pairs.hidden.bias"], 0.0)
    shares = np.exp(hidden @ p["pairs.query"] / temperature)
    weights = shares / shares.sum(axis=1, keepdims=True)
    pooled = np.einsum("bp,bpd->bd", weights, h)
    assert_logits(model, batch, rows[:, :, 3].sum(axis=1) + p["embedding.bias"] + pooled @ p["projection"])
    assert isinstance(model, AFM)
    np.testing.assert_allclose(model.pair_weights(batch).numpy(), weights, atol=1e-5)
    assert not model.pair_weights(batch).requires_grad


def test_afm_with_even_attention_is_fm_over_the_number_of_pairs(mixed):
    layout, batch = mixed
    fm, afm = make("fm", layout), build("afm", layout)
    afm.load_state_dict(fm.state_dict(), strict=False)
    with torch.no_grad():
        afm.pairs.query.zero_()
    first_order = fm.embedding(batch)[1]
    torch.testing.assert_close(afm(batch) - first_order, (fm(batch) - first_order) / 10)


def test_afm_of_two_fields_has_one_pair_and_no_attention(layouts, make_batch):
    layout = layouts["multi_valued"]
    batch = make_batch(layout, 6)
    fm, afm = make("fm", layout), build("afm", layout)
    afm.load_state_dict(fm.state_dict(), strict=False)
    assert afm.pairs is None
    torch.testing.assert_close(afm(batch), fm(batch))
    assert afm.pair_weights(batch).tolist() == [[1.0]] * 6


def test_afm_drops_weights_and_pooled_coordinates(mixed):
    layout, batch = mixed
    for setting in ("attention_dropout", "pooled_dropout"):
        model = make("afm", layout, **{setting: 0.5}).train()
        assert not torch.equal(model(batch), model(batch))
        model.eval()
        assert torch.equal(model(batch), make("afm", layout)(batch))


@torch.no_grad()
def test_afm_starts_as_the_authors_do():
    torch.manual_seed(0)
    model = build("afm", categorical(3, 40), {"embedding_dim": 100, "attention_dim": 300})
    assert isinstance(model, AFM)
    assert model.pairs is not None
    assert (model.projection == 1.0).all()
    assert float(model.pairs.query.std()) == pytest.approx(1.0, rel=0.1)
    assert float(model.pairs.hidden.weight.std()) == pytest.approx(math.sqrt(2 / 400), rel=0.05)
    assert float(model.pairs.hidden.bias.std()) == pytest.approx(math.sqrt(2 / 400), rel=0.1)


@pytest.mark.parametrize("order", [2, 3, 4, 5, 9])
def test_hofm_equals_a_loop_over_tuples(mixed, order):
    layout, batch = mixed
    model = make("hofm", layout, embedding_dim=2, order=order)
    rows, p = rows_of(model, batch), parameters(model)
    highest = min(order, 5)  # of five fields
    assert rows.shape[2] == 2 * (highest - 1) + 1
    expected = rows[:, :, -1].sum(axis=1) + p["embedding.bias"]
    for k in range(2, highest + 1):
        x = rows[:, :, 2 * (k - 2) : 2 * (k - 1)]
        for chosen in itertools.combinations(range(5), k):
            expected += x[:, list(chosen)].prod(axis=1).sum(axis=1)
    assert_logits(model, batch, expected)


def test_hofm_of_order_two_is_fm(mixed):
    layout, batch = mixed
    fm, hofm = make("fm", layout), build("hofm", layout, {"order": 2})
    hofm.load_state_dict(fm.state_dict())
    assert torch.equal(hofm(batch), fm(batch))


def test_hofm_has_other_vectors_for_each_order(mixed):
    layout, batch = mixed
    fm, hofm = make("fm", layout, embedding_dim=3), make("hofm", layout, embedding_dim=3, order=3)
    assert isinstance(hofm, HOFM)
    with torch.no_grad():
        table = hofm.embedding.embedding.table.weight
        table[:, 3:6] = 0.0
        fm.embedding.embedding.table.weight.copy_(table[:, [0, 1, 2, 6]])
        fm.embedding.bias.copy_(hofm.embedding.bias)
    torch.testing.assert_close(hofm(batch), fm(batch))


def test_nfm_equals_a_loop_over_pairs(mixed):
    layout, batch = mixed
    model = make("nfm", layout, embedding_dim=3, dnn_hidden=(6, 4))
    rows, p = rows_of(model, batch), parameters(model)
    deep = pair_products(rows[:, :, :3]).sum(axis=1)
    for layer in (0, 2):  # a ReLU between
        deep = np.maximum(deep @ p[f"dnn.layers.{layer}.weight"].T + p[f"dnn.layers.{layer}.bias"], 0.0)
    deep = deep @ p["dnn.head.weight"][0] + p["dnn.head.bias"]
    assert_logits(model, batch, rows[:, :, 3].sum(axis=1) + p["embedding.bias"] + deep)


def test_nfm_with_a_sum_in_place_of_its_network_is_fm(mixed):
    class Sum(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x.sum(dim=1)

    layout, batch = mixed
    fm, nfm = make("fm", layout), build("nfm", layout)
    nfm.dnn = Sum()
    nfm.load_state_dict(fm.state_dict())
    assert torch.equal(nfm(batch), fm(batch))


def test_nfm_normalises_and_drops_what_its_network_reads(mixed):
    layout, batch = mixed
    model = make("nfm", layout, pooled_norm="batch", pooled_dropout=0.5).train()
    assert isinstance(model, NFM)
    assert isinstance(model.pooled_norm, BatchNorm)
    assert isinstance(model.dnn, MLP)
    with torch.no_grad():
        model.pooled_norm.weight.fill_(1.0)
        model.pooled_norm.bias.zero_()
    seen = []
    model.dnn.register_forward_pre_hook(lambda module, inputs: seen.append(inputs[0]))
    model(batch)
    kept = seen[0] != 0
    assert 0.3 < float(kept.float().mean()) < 0.7
    model.pooled_dropout.eval()
    model(batch)
    torch.testing.assert_close(seen[0][kept], 2 * seen[1][kept])
    torch.testing.assert_close(seen[1].mean(dim=0), torch.zeros(16), atol=1e-5, rtol=0)
    torch.testing.assert_close(seen[1].var(dim=0, correction=0), torch.ones(16), atol=1e-2, rtol=0)
    with pytest.raises(SettingsError, match="pooled_norm must be 'batch' or None, got 'layer'"):
        NFM(layout, pooled_norm="layer")


def test_published_parameter_counts():
    """Papers leave the bias out. The table has as many rows as AIM has features; one of ours is the row of no field."""
    assert AVAZU.num_rows == 645_195

    def count(name: str, layout: Layout, preset: str, *, embeddings: bool = True) -> int:
        return count_parameters(build(name, layout, resolve(name, preset=preset)), embeddings=embeddings)

    bias = 1
    assert count("fm", AVAZU, "aim-avazu") == 26_452_995 + bias
    assert count("ffm", AVAZU, "aim-avazu") == 60_003_135 + bias
    assert count("fwfm", AVAZU, "aim-avazu") == 26_452_995 + 276 + bias
    assert count("afm", AVAZU, "aim-avazu") == 26_452_995 + (40 * 256 + 2 * 256 + 40) + bias
    assert count("nfm", CRITEO, "autoint-paper", embeddings=False) == 3_601 + bias
    assert count("hofm", CRITEO, "autoint-paper") == CRITEO.num_rows * (2 * 16 + 1) + bias
    assert count("hofm", CRITEO, "autoint-paper", embeddings=False) == bias


def test_fwfm_counts_its_linear_parts():
    for linear, expected in (("LW", 80 * 17), ("FeLV", 80 * 32), ("FiLV", 80 * 16 + 4 * 16)):
        model = build("fwfm", categorical(4, 80), {"linear": linear})
        assert count_parameters(model) == expected + 6 + 1, linear


def test_presets_are_the_papers_settings():
    chosen = {
        ("fm", "autoint-paper"): {"embedding_dim": 16},
        ("fm", "aim-avazu"): {"embedding_dim": 40},
        ("fm", "aim-criteo"): {"embedding_dim": 20},
        ("fwfm", "aim-avazu"): {"embedding_dim": 40, "linear": "LW", "initial_weight": 0.7},
        ("fwfm", "aim-criteo"): {"embedding_dim": 20, "linear": "LW", "initial_weight": 0.7},
        ("ffm", "aim-avazu"): {"embedding_dim": 4},
        ("ffm", "aim-criteo"): {"embedding_dim": 4},
        ("afm", "autoint-paper"): {"embedding_dim": 16},
        ("afm", "aim-avazu"): {"embedding_dim": 40, "temperature": 1.0, "attention_dim": 256},
        ("afm", "aim-criteo"): {"embedding_dim": 20, "temperature": 0.01, "attention_dim": 32},
        ("hofm", "autoint-paper"): {"embedding_dim": 16, "order": 3},
        ("nfm", "autoint-paper"): {"embedding_dim": 16, "dnn_hidden": [200]},
    }
    for (name, preset), expected in chosen.items():
        settings = resolve(name, preset=preset)
        assert settings == settings | expected | {"missing": "zero", "pooling": "mean"}, (name, preset)


@pytest.mark.parametrize(
    ("name", "settings"),
    [(name, {}) for name in NAMES] + [("fwfm", {"linear": "FeLV"}), ("fwfm", {"linear": "FiLV"}), ("afm", {})],
)
def test_one_field_has_no_pairs(name, settings):
    model = make(name, ONE_FIELD, **settings)
    ids = torch.tensor([[2], [3], [MISSING]])
    rows = rows_of(model, Batch(categorical=ids, numeric=torch.zeros(3, 0)))
    logits = model(Batch(categorical=ids, numeric=torch.zeros(3, 0)))
    p = parameters(model)
    if not settings and name != "nfm":  # whose network still reads a vector of zeros
        expected = rows[:, 0, -1] + p["embedding.bias"]
        np.testing.assert_allclose(logits.detach().numpy(), expected, atol=1e-5)
    model.train()
    optimizer = torch.optim.Adam(model.parameters())
    logits.sum().backward()
    optimizer.step()
    assert model(Batch(categorical=ids, numeric=torch.zeros(3, 0))).isfinite().all()
    assert model(Batch(categorical=ids[:0], numeric=torch.zeros(0, 0))).shape == (0,)
    if isinstance(model, AFM):
        assert model.pair_weights(Batch(categorical=ids, numeric=torch.zeros(3, 0))).shape == (3, 0)


@pytest.mark.parametrize("name", NAMES)
def test_bfloat16_products_stay_close_to_float32(name, mixed):
    layout, batch = mixed
    model = make(name, layout, **({"dnn_hidden": (8,)} if name == "nfm" else {}))
    expected = model(batch)
    with torch.autocast("cpu", torch.bfloat16):
        logits = model(batch)
    torch.testing.assert_close(logits.float(), expected, atol=0.05, rtol=0.02)
    if name in ("fm", "ffm", "hofm"):  # sums of products only, all of them in float32
        torch.testing.assert_close(logits, expected)


@pytest.mark.parametrize("name", NAMES)
def test_starts_near_logistic_regression_at_even_odds(name, mixed):
    layout, batch = mixed
    torch.manual_seed(0)
    logits = build(name, layout, {"dnn_hidden": ()} if name == "nfm" else {})(batch)
    assert float(logits.detach().abs().max()) < 0.01


@pytest.mark.parametrize("kinds", ["mixed", "categorical", "numeric", "multi_valued"])
def test_fm_of_an_architecture_with_all_pairs_by_inner_products_is_fm(layouts, make_batch, kinds):
    layout = layouts[kinds]
    batch = make_batch(layout, 12)
    everything = Architecture.everything(layout, functions=["inner"], embedding_dim=3)
    found, plain = make("fm", layout, architecture=everything), make("fm", layout, embedding_dim=3)
    (table,) = (module for module in found.modules() if isinstance(module, FieldEmbedding))
    weights = {"embedding.embedding.table.weight": table.table.weight}
    plain.load_state_dict(weights | {"embedding.bias": found.embedding.embedding.bias})
    torch.testing.assert_close(found(batch), plain(batch))


def test_fm_of_an_architecture_has_every_interaction_by_its_own_function(mixed):
    layout, batch = mixed
    chosen = [("inner", "03"), ("outer", "12"), ("vector_kernel", "014"), ("scalar_kernel", "24")]
    interactions = tuple(Interaction(fields=tuple(f"f{n}" for n in fields), function=f) for f, fields in chosen)
    architecture = Architecture(embedding_dim=3, fields=summarise_fields(layout), interactions=interactions)
    model = make("fm", layout, architecture=architecture)
    vectors, first_order = model.embedding.embedding(batch)
    vectors, expected = vectors.detach().double().numpy(), first_order.detach().double().numpy()
    slots, p = model.embedding.slots, {name: value for name, value in parameters(model).items() if "functions" in name}
    assert slots == [(2, "inner"), (2, "scalar_kernel"), (2, "outer"), (3, "vector_kernel")]
    expected = expected + (vectors[0, 0] * vectors[0, 3]).sum(axis=0)
    expected = expected + p["embedding.functions.1.kernel"] * (vectors[1, 2] * vectors[1, 4]).sum(axis=0)
    first, second = p["embedding.functions.2.projections"]
    expected = expected + (first @ vectors[2, 1]) * (second @ vectors[2, 2])
    weighted = p["embedding.functions.3.kernel"].T * vectors[3, 0] * vectors[3, 1] * vectors[3, 4]
    assert_logits(model, batch, expected + weighted.sum(axis=0))
    assert count_parameters(model, embeddings=False) == 1 + 6 + 3 + 1  # kernels, projections, bias; no gates
    assert not any(isinstance(module, BatchNorm) for module in model.modules())


def test_fm_of_an_architecture_without_interactions_is_linear(mixed):
    layout, batch = mixed
    nothing = Architecture(embedding_dim=3, fields=summarise_fields(layout))
    model = make("fm", layout, architecture=nothing)
    assert_logits(
        model, batch, rows_of(model, batch)[:, :, 0].sum(axis=1) + parameters(model)["embedding.embedding.bias"]
    )
