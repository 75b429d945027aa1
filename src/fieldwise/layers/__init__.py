"""Layers: parts that models are made of, each an `nn.Module` with one job or a function of tensors.

What is exported here is for models of one's own (docs/your-own-model.md); what lies deeper may change.
"""

from fieldwise.layers.anova import anova
from fieldwise.layers.cin import CompressedInteraction
from fieldwise.layers.cross import LowRankCross, MatrixCross, VectorCross
from fieldwise.layers.embeddings import FieldEmbedding
from fieldwise.layers.field_aware import field_aware_products, partners_of
from fieldwise.layers.first_order import FirstOrderEmbedding
from fieldwise.layers.gates import Gates
from fieldwise.layers.graph import EdgeWeights, FieldGraph
from fieldwise.layers.interacting import InteractingLayer
from fieldwise.layers.interaction_functions import InteractionFunction, function_names, register_function
from fieldwise.layers.interactions import ArchitectureSetting, Interactions, gates_of, interaction_gates
from fieldwise.layers.kernel_products import KernelProducts
from fieldwise.layers.micro_networks import MicroNetworks
from fieldwise.layers.mlp import MLP, BatchNorm, LayerNormLinear, init_glorot_normal
from fieldwise.layers.pair_attention import PairAttention
from fieldwise.layers.products import inner_products, pairs_of, pooled_pairs, weighted_pairs
from fieldwise.layers.residual import ResidualLayer, ResidualUnit

__all__ = [
    "MLP",
    "ArchitectureSetting",
    "BatchNorm",
    "CompressedInteraction",
    "EdgeWeights",
    "FieldEmbedding",
    "FieldGraph",
    "FirstOrderEmbedding",
    "Gates",
    "InteractingLayer",
    "InteractionFunction",
    "Interactions",
    "KernelProducts",
    "LayerNormLinear",
    "LowRankCross",
    "MatrixCross",
    "MicroNetworks",
    "PairAttention",
    "ResidualLayer",
    "ResidualUnit",
    "VectorCross",
    "anova",
    "field_aware_products",
    "function_names",
    "gates_of",
    "init_glorot_normal",
    "inner_products",
    "interaction_gates",
    "pairs_of",
    "partners_of",
    "pooled_pairs",
    "register_function",
    "weighted_pairs",
]
