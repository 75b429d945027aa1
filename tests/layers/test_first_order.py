"""FirstOrderEmbedding against FieldEmbedding, of which it is one with another column."""

from __future__ import annotations

import torch

from fieldwise.data.batch import Batch
from fieldwise.layers.first_order import FirstOrderEmbedding
from fieldwise.layout import FieldLayout, Layout

LAYOUT = Layout((FieldLayout("token", "categorical", 4), FieldLayout("number", "numeric", 2)))
BATCH = Batch(categorical=torch.tensor([[2], [3]]), numeric=torch.tensor([[-2.0], [0.5]]))


def test_the_last_column_is_the_first_order_weight():
    layer = FirstOrderEmbedding(LAYOUT, 3)
    with torch.no_grad():
        # Rows: nothing, the token's 1 to 4, the number's 5 and 6.
        layer.embedding.table.weight.copy_(torch.arange(28.0).view(7, 4))
        layer.bias.fill_(0.5)
    vectors, first_order = layer(BATCH)
    assert vectors.tolist() == [
        [[12.0, 13.0, 14.0], [-48.0, -50.0, -52.0]],
        [[16.0, 17.0, 18.0], [12.0, 12.5, 13.0]],
    ]
    assert first_order.tolist() == [0.5 + 15 - 2 * 27, 0.5 + 19 + 0.5 * 27]


def test_starts_at_even_odds_with_vectors_that_differ():
    vectors, first_order = FirstOrderEmbedding(LAYOUT, 3)(BATCH)
    assert first_order.tolist() == [0.0, 0.0]
    assert vectors.flatten().unique().numel() == vectors.numel()
