"""Wide & Deep is a logistic regression plus a network, from one table."""

from __future__ import annotations

import torch

from fieldwise.layers.embeddings import FieldEmbedding
from fieldwise.layout import FieldLayout, Layout
from fieldwise.models import build, count_parameters, presets, resolve
from fieldwise.models.logistic_regression import LogisticRegression
from fieldwise.models.wide_deep import WideDeep

CRITEO = Layout(
    tuple(FieldLayout(f"I{i}", "numeric", 2) for i in range(1, 14))
    + tuple(FieldLayout(f"C{i}", "categorical", 5) for i in range(1, 27))
)


def test_logits_are_those_of_a_logistic_regression_plus_the_networks(layouts, make_batch):
    layout, batch = layouts["mixed"], make_batch(layouts["mixed"], 6)
    model = build("wide_deep", layout, {"embedding_dim": 3, "dnn_hidden": (5,)}).eval()
    wide = build("lr", layout)
    assert isinstance(model, WideDeep)
    assert isinstance(wide, LogisticRegression)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.normal_()
        wide.weights.table.weight.copy_(model.embedding.embedding.table.weight[:, 3:])
        wide.bias.copy_(model.embedding.bias)
    vectors, _ = model.embedding(batch)
    torch.testing.assert_close(model(batch), wide(batch) + model.dnn(vectors.flatten(1)))
    assert sum(isinstance(module, FieldEmbedding) for module in model.modules()) == 1


def test_counted_parameters():
    model = build("wide_deep", CRITEO, resolve("wide_deep", preset="autoint-paper"))
    dnn = (624 * 400 + 400) + (400 * 400 + 400) + (400 + 1)
    assert count_parameters(model, embeddings=False) == dnn + 1  # the last is the first-order bias
    assert count_parameters(model) == dnn + 1 + CRITEO.num_rows * (16 + 1)


def test_preset_is_the_joint_model_of_the_autoint_paper():
    assert set(presets("wide_deep")) == {"autoint-paper"}
    chosen = resolve("wide_deep", preset="autoint-paper")
    assert {k: v for k, v in chosen.items() if v != resolve("wide_deep")[k]} == {"missing": "zero"}
    assert (chosen["embedding_dim"], chosen["dnn_hidden"]) == (16, [400, 400])
