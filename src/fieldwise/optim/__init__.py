"""Optimisers: of a network's small weights, of embedding tables by the rows that a batch has read, and of gates that a
search drives to zero.
"""

from fieldwise.optim.adam import NetworkAdam
from fieldwise.optim.grda import GRDA, choose_c
from fieldwise.optim.rows import RowAdagrad, RowAdam, RowOptimizer, TableAdam, clip_gradients, join_gradients

__all__ = [
    "GRDA",
    "NetworkAdam",
    "RowAdagrad",
    "RowAdam",
    "RowOptimizer",
    "TableAdam",
    "choose_c",
    "clip_gradients",
    "join_gradients",
]
