"""The interactions of an Architecture: their embeddings, their functions, and the first-order part."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import torch
from pydantic import BeforeValidator, ValidationInfo
from torch import Tensor, nn

from fieldwise.architecture import MAY_NAME_A_FILE, Architecture, Interaction
from fieldwise.data.batch import Batch
from fieldwise.errors import SettingsError, suggest
from fieldwise.layers.function_embedding import FunctionEmbedding
from fieldwise.layers.gates import INITIAL_GATE, INITIAL_SHARE, Gates
from fieldwise.layers.interaction_functions import InteractionFunction, function_names, require_function
from fieldwise.layout import Layout

Slot = tuple[int, str]
"""An embedding of its own: the order and the name of the function that reads it (`shared` for all of an order)."""

RAW: Slot = (1, "raw")
"""The slot of plain field embeddings, for what a model computes beside interactions."""


def _read_named(value: Any, info: ValidationInfo) -> Any:
    # Only where a caller chooses settings; the settings in a predictor's files must not name further files.
    if isinstance(value, str | Path) and (info.context or {}).get("may_read_files"):
        return Architecture.load(value)
    return value


ArchitectureSetting = Annotated[Architecture | None, BeforeValidator(_read_named), MAY_NAME_A_FILE]
"""A setting: an Architecture, or the path of its file or of the directory of a search."""


@dataclass(frozen=True)
class Interacted:
    """What `Interactions.embed` makes of a batch.

    Attributes:
        first_order: First-order logits.
        vectors: By slot.

    Shape:
        first_order: [B].
        vectors: [S, F, D, B].
    """

    first_order: Tensor
    vectors: Tensor


class Interactions(nn.Module):
    """Computes interactions from a batch: their values, and their vectors for a feed-forward network.

    Args:
        layout: The fields of the data; must have every field that an interaction names. Further fields have their
            first-order weights.
        architecture: Which interactions, and the embedding dimensions that are kept.
        also: Slots to embed in full beside those that interactions need.
        first_order: See `FunctionEmbedding`.
        missing, pooling: See `FieldEmbedding`.

    Attributes:
        interactions: By order and function, as `values` has them; those of a field that has kept no dimension at all
            are left out, for they are zero.
        orders: Those that are left.
        slots: The S slots of the embedding.
        dim: D.

    Raises:
        SettingsError: For a field that the layout lacks and for an unknown function.

    Example:
        >>> from fieldwise.layout import FieldLayout
        >>> layout = Layout((FieldLayout("user", "categorical", 9), FieldLayout("movie", "categorical", 7)))
        >>> pairs = Architecture.everything(layout, functions=["inner", "outer"], embedding_dim=4)
        >>> interactions = Interactions(layout, pairs)
        >>> batch = Batch(categorical=torch.tensor([[3, 2], [4, 5], [8, 6]]), numeric=torch.empty(3, 0))
        >>> interactions.values(interactions.embed(batch).vectors, order=2).shape
        torch.Size([3, 2])
    """

    def __init__(
        self,
        layout: Layout,
        architecture: Architecture,
        *,
        also: Sequence[Slot] = (),
        first_order: bool = True,
        missing: Literal["learned", "zero"] = "learned",
        pooling: Literal["mean", "sum"] = "mean",
    ) -> None:
        super().__init__()
        place = {name: number for number, name in enumerate(layout.names)}
        for interaction in architecture.interactions:
            require_function(interaction.function)
            if lacking := [name for name in interaction.fields if name not in place]:
                raise SettingsError(
                    f"the architecture's interaction {interaction} needs the field '{lacking[0]}', which the data "
                    f"lack; {suggest(lacking[0], place)}"
                )
        self.dim = architecture.embedding_dim
        rank = {name: number for number, name in enumerate(function_names())}
        interactions = [i for i in architecture.interactions if all(_has_numbers(architecture, i, n) for n in i.fields)]
        # Fields are put in the layout's order: a newer file may have other columns first.
        interactions = [
            i.model_copy(update={"fields": tuple(sorted(i.fields, key=place.__getitem__))}) for i in interactions
        ]
        interactions.sort(key=lambda i: (i.order, rank[i.function], [place[name] for name in i.fields]))
        self.interactions: tuple[Interaction, ...] = tuple(interactions)
        self.orders = tuple(sorted({i.order for i in interactions}))
        groups = list(dict.fromkeys((i.order, i.function) for i in interactions))
        shared = architecture.shared_embedding
        self.slots: list[Slot] = list(
            dict.fromkeys([*also, *((order, "shared" if shared else function) for order, function in groups)])
        )
        self._used = used = {slot: set(layout.names if slot in also else ()) for slot in self.slots}
        for i in interactions:
            used[i.order, "shared" if shared else i.function].update(i.fields)
        dimensions = [
            [
                ()
                if name not in used[slot]
                else range(self.dim)
                if slot in also
                else architecture.kept_dimensions(*slot, name)
                for name in layout.names
            ]
            for slot in self.slots
        ]
        self.embedding = FunctionEmbedding(
            layout,
            len(self.slots),
            self.dim,
            dimensions=dimensions,
            first_order=first_order,
            missing=missing,
            pooling=pooling,
        )
        self.functions = nn.ModuleList()
        self._groups: list[tuple[int, int]] = []  # order and slot of each function
        for number, (order, function) in enumerate(groups):
            members = [[place[n] for n in i.fields] for i in interactions if (i.order, i.function) == (order, function)]
            self.functions.append(require_function(function)(len(members), order, self.dim))
            self._groups.append((order, self.slots.index((order, "shared" if shared else function))))
            self.register_buffer(f"fields_{number}", torch.tensor(members).t().contiguous(), persistent=False)

    def embed(self, batch: Batch) -> Interacted:
        """Look up what a batch needs."""
        vectors, first_order = self.embedding(batch)
        return Interacted(first_order, vectors)

    def values(self, vectors: Tensor, order: int) -> Tensor:
        """The values of an order's interactions.

        Args:
            vectors: See `embed`.
            order: Of the interactions.

        Returns:
            A column per interaction, in the order of `of_order`.

        Shape:
            [S, F, D, B] -> [B, G].
        """
        with torch.autocast(vectors.device.type, enabled=False):  # products of products lose too many digits
            by_slot = vectors.unbind()
            parts = [
                function.values(by_slot[slot], fields)
                for function, slot, fields, group in self._members()
                if group == order
            ]
            return torch.cat([_nothing(vectors), *parts]).t()

    def sum(self, vectors: Tensor) -> Tensor:
        """The sum of all values, [S, F, D, B] -> [B]."""
        total = vectors.new_zeros(vectors.shape[-1])
        for order in self.orders:
            total = total + self.values(vectors, order).sum(dim=1)
        return total

    def features(self, vectors: Tensor) -> tuple[dict[int, Tensor], Tensor]:
        """The values of all interactions, and their vectors for a feed-forward network.

        Args:
            vectors: See `embed`.

        Returns:
            Values by order, as `values` has them, and the vectors of all interactions side by side.

        Shape:
            [S, F, D, B] -> [B, G] of each order, and [B, W].
        """
        values: dict[int, list[Tensor]] = {order: [] for order in self.orders}
        features = [_nothing(vectors)]
        by_slot = vectors.unbind()
        for function, slot, fields, order in self._members():
            with torch.autocast(vectors.device.type, enabled=False):
                vector = function.features(by_slot[slot], fields)  # [G, W, B]
            values[order].append(vector.sum(dim=1))
            features.append(vector.flatten(0, 1))
        return {order: torch.cat(parts).t() for order, parts in values.items()}, torch.cat(features).t()

    def of_order(self, order: int) -> list[Interaction]:
        """The interactions of an order."""
        return [i for i in self.interactions if i.order == order]

    def read_by(self, slot: Slot) -> set[str]:
        """The fields whose vectors in a slot are read."""
        return self._used[slot]

    def slot(self, vectors: Tensor, slot: Slot) -> Tensor:
        """One slot's vectors as a feed-forward network reads them, field by field: [B, F D]."""
        return vectors[self.slots.index(slot)].flatten(0, 1).t()

    @property
    def width(self) -> int:
        """W, the numbers of all interactions' vectors."""
        return sum(function.count * function.width for function, *_ in self._members())

    def _members(self) -> list[tuple[InteractionFunction, int, Tensor, int]]:
        """Function, slot, fields [p, G] and order of each group."""
        members = []
        for number, (function, (order, slot)) in enumerate(zip(self.functions, self._groups, strict=True)):
            assert isinstance(function, InteractionFunction)
            members.append((function, slot, self.get_buffer(f"fields_{number}"), order))
        return members


def interaction_gates(interactions: Interactions) -> nn.ModuleDict:
    """Gates for the values of all interactions, by order; together they begin at a small share of the logit.

    Args:
        interactions: How many, of which orders, and the scale at which their vectors are drawn.

    Returns:
        `Gates` by order as a string, in the order of `Interactions.of_order`.

    Example:
        >>> from fieldwise.layout import FieldLayout
        >>> layout = Layout((FieldLayout("user", "categorical", 9), FieldLayout("movie", "categorical", 7)))
        >>> pairs = Architecture.everything(layout, functions=["inner", "outer"], embedding_dim=4)
        >>> gates = interaction_gates(Interactions(layout, pairs))
        >>> gates_of(gates, 2).weight.shape
        torch.Size([2])
    """
    begin = INITIAL_SHARE / (INITIAL_GATE * math.sqrt(max(len(interactions.interactions), 1)))
    gates = {}
    for order in interactions.orders:
        std = math.sqrt(interactions.dim) * interactions.embedding.init_std**order
        gates[str(order)] = Gates(len(interactions.of_order(order)), initial_std=std, begin=begin)
    return nn.ModuleDict(gates)


def gates_of(gates: nn.ModuleDict, order: int) -> Gates:
    """The gates of an order, from those of `interaction_gates`, whose example shows it."""
    of_order = gates[str(order)]
    assert isinstance(of_order, Gates)
    return of_order


def _nothing(vectors: Tensor) -> Tensor:
    """No values [0, B]: what a list of them begins with, for it may stay empty and `torch.cat` takes no empty list."""
    return vectors.new_zeros(0, vectors.shape[-1])


def _has_numbers(architecture: Architecture, interaction: Interaction, name: str) -> bool:
    return bool(architecture.kept_dimensions(interaction.order, interaction.function, name))
