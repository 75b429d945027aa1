"""The stages of a search: what each searches among, the network that it trains, and what the gates say afterwards.

stage       candidates                                                  gates
order 2     every pair of fields by every function                      one each
order p     all tuples of p fields where they are few (max_tuples),     one each; lower orders are part of the
else each function's strongest `top` of order p - 1,        network, and their gates are left to Adam
each with one more field
dimensions  every number of every vector that an interaction reads      one each, before the interactions, which
have none
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Protocol

from torch import nn

from fieldwise.architecture import Architecture, Interaction, num_tuples
from fieldwise.layers.interaction_functions import function_names, require_function
from fieldwise.layout import Layout
from fieldwise.models import registry
from fieldwise.models.aim import EmbeddingSearch
from fieldwise.models.base import CTRModel
from fieldwise.models.searchable import Searchable
from fieldwise.recipes.search.trimming import normalise
from fieldwise.settings import SearchSettings, Settings


@dataclass(frozen=True)
class SearchNetwork:
    """A network to search with.

    Args:
        network: Untrained.
        gates: Its weights that GRDA moves.
        count: How many gates stand for something that may be kept.
    """

    network: CTRModel
    gates: list[nn.Parameter]
    count: int


@dataclass(frozen=True)
class Reading:
    """What the gates of a trained network say.

    Args:
        architecture: With what they keep.
        count: How many of the gates that stand for something are not zero.
    """

    architecture: Architecture
    count: int


@dataclass(frozen=True)
class GateRule:
    """How a stage's gates are moved, and how their threshold grows (see `SearchSettings`)."""

    threshold: float
    mu: float
    c: float | None
    learning_rate: float


class Stage(Protocol):
    """One training of a search network.

    Attributes:
        name: As it stands in records and in what is said.
        file_name: The stem of the stage's files in the folder of a search.
        old_file_name: That of an older version; None where it was the same.
        rule: For the gates.
        max_interactions: How many of all orders may be left after it; None for all.
    """

    @property
    def name(self) -> str: ...
    @property
    def file_name(self) -> str: ...
    @property
    def old_file_name(self) -> str | None: ...
    @property
    def rule(self) -> GateRule: ...
    @property
    def max_interactions(self) -> int | None: ...

    def candidates(self, architecture: Architecture) -> Sequence[Interaction]:
        """The interactions that the stage decides on, given what earlier stages have found."""
        ...

    def announcement(self, candidates: Sequence[Interaction]) -> str:
        """What is said before; nothing where it is empty."""
        ...

    def build(self, architecture: Architecture, candidates: Sequence[Interaction]) -> SearchNetwork:
        """The network, with new weights."""
        ...

    def read(self, architecture: Architecture, network: CTRModel) -> Reading:
        """What the gates of a trained network of `build` say. architecture: what earlier stages have found."""
        ...

    def conclude(self, before: Architecture, after: Architecture) -> tuple[Architecture, str]:
        """What holds of what was there before and what was read, and a remark, empty where there is none."""
        ...


@dataclass(frozen=True)
class OrderStage:
    """Which interactions of one order, by which functions.

    Args:
        order: How many fields they have.
        layout: The fields of the data.
        settings: Of the run, with those of the search.
        max_interactions: See `Stage`.

    >>> from fieldwise.layout import FieldLayout
    >>> from fieldwise.settings import resolve_settings
    >>> layout = Layout(tuple(FieldLayout(name, "categorical", 9) for name in ("user", "movie", "hour")))
    >>> stage = OrderStage(2, layout, resolve_settings(model="aim", overrides={"functions": ["inner"]}))
    >>> nothing = Architecture.everything(layout, functions=[], embedding_dim=4)
    >>> [str(candidate) for candidate in stage.candidates(nothing)]
    ['inner(user, movie)', 'inner(user, hour)', 'inner(movie, hour)']
    """

    order: int
    layout: Layout
    settings: Settings
    max_interactions: int | None = None

    @property
    def name(self) -> str:
        """`order 2`."""
        return f"order {self.order}"

    @property
    def file_name(self) -> str:
        """`order-2`."""
        return f"order-{self.order}"

    @property
    def old_file_name(self) -> None:
        """It was always the same."""
        return None

    @property
    def rule(self) -> GateRule:
        """Of interactions."""
        return GateRule(self._search.threshold, self._search.mu, self._search.c, self._search.gate_learning_rate)

    @property
    def _search(self) -> SearchSettings:
        return search_settings(self.settings)

    def candidates(self, architecture: Architecture) -> list[Interaction]:
        """The interactions of the order that are searched among, function by function; none of too few fields."""
        fields, functions = self.layout.names, functions_of(self._search)
        if self.order == 2 or num_tuples(len(fields), self.order) <= self._search.max_tuples:
            tuples = {function: list(combinations(fields, self.order)) for function in functions}
        else:
            top = self._search.top or max(1, len(fields) // 2)
            strongest = {f: [i.fields for i in architecture.of(self.order - 1, f)[:top]] for f in functions}
            tuples = {function: extended(strongest[function], fields) for function in functions}
        return [Interaction(fields=t, function=function) for function in functions for t in tuples[function]]

    def announcement(self, candidates: Sequence[Interaction]) -> str:
        """How many tuples and gates."""
        fields = len(self.layout)
        if not candidates:
            return f"there is no candidate ({fields} fields); nothing is added"
        tuples = len({i.fields for i in candidates})
        return (
            f"{tuples:,} of {num_tuples(fields, self.order):,} tuples of {self.order} fields, "
            f"{len(candidates):,} gates over {', '.join(functions_of(self._search))}"
        )

    def build(self, architecture: Architecture, candidates: Sequence[Interaction]) -> SearchNetwork:
        """The model itself, with all candidates beside what lower orders have kept."""
        pool = architecture.model_copy(update={"interactions": (*architecture.interactions, *candidates)})
        network = registry.build_for_search(
            self.settings.model, self.layout, {**self.settings.model_settings, "architecture": pool}
        )
        assert isinstance(network, Searchable)
        return SearchNetwork(network, [self._gates(network)], len(network.interactions.of_order(self.order)))

    def read(self, architecture: Architecture, network: CTRModel) -> Reading:
        """The candidates whose gates are open, and of each tuple the strongest functions."""
        assert isinstance(network, Searchable)
        interactions = [
            interaction.model_copy(update={"gate": gate})
            for interaction, gate in zip(
                network.interactions.of_order(self.order), self._gates(network).tolist(), strict=True
            )
            if gate
        ]
        strongest = strongest_functions(interactions, self._search.functions_per_tuple)
        return Reading(architecture.with_interactions([*architecture.interactions, *strongest]), len(interactions))

    def conclude(self, before: Architecture, after: Architecture) -> tuple[Architecture, str]:
        """What was read; with a remark where nothing of this order is left."""
        if after.of(self.order):
            return after, ""
        return after, (
            "every gate is closed. The data show no interaction that a threshold of "
            f"{self._search.threshold:g} keeps; a lower search.threshold keeps more"
        )

    def _gates(self, network: Searchable) -> nn.Parameter:
        gates = network.gates[str(self.order)].weight
        assert isinstance(gates, nn.Parameter)
        return gates


@dataclass(frozen=True)
class DimensionsStage:
    """Which embedding dimensions, of all interactions there are.

    Args:
        layout: The fields of the data.
        settings: Of the run, with those of the search.
    """

    layout: Layout
    settings: Settings

    name = "dimensions"
    file_name = "dimensions"
    old_file_name = "positions"
    max_interactions = None

    @property
    def rule(self) -> GateRule:
        """Of dimensions."""
        search = search_settings(self.settings)
        return GateRule(
            search.dimension_threshold,
            search.dimension_mu,
            search.dimension_c,
            search.dimension_gate_learning_rate or search.gate_learning_rate,
        )

    def candidates(self, architecture: Architecture) -> Sequence[Interaction]:
        """The interactions whose vectors are searched: all."""
        return architecture.interactions

    def announcement(self, candidates: Sequence[Interaction]) -> str:
        """Nothing, unless there is nothing to search."""
        return "" if candidates else "there are no interactions, so no embedding is needed"

    def build(self, architecture: Architecture, candidates: Sequence[Interaction]) -> SearchNetwork:
        """AIM's network for this, whatever the model."""
        model_settings = self.settings.model_settings
        network = EmbeddingSearch(
            self.layout,
            architecture,
            share_dimensions=search_settings(self.settings).share_dimensions,
            missing=model_settings.get("missing", "learned"),
            pooling=model_settings.get("pooling", "mean"),
        )
        gates = [weight for module in network.gates.values() for weight in module.parameters()]
        readers = sum(len(network.interactions.read_by(slot)) for slot in network.interactions.slots)
        return SearchNetwork(network, gates, readers * architecture.embedding_dim)

    def read(self, architecture: Architecture, network: CTRModel) -> Reading:
        """The dimensions whose gates are open, without the interactions that are left with none."""
        assert isinstance(network, EmbeddingSearch)
        dimensions = network.kept_dimensions()
        count = sum(len(of) for functions in dimensions.values() for f in functions.values() for of in f.values())
        return Reading(drop_empty(architecture.model_copy(update={"dimensions": dimensions})), count)

    def conclude(self, before: Architecture, after: Architecture) -> tuple[Architecture, str]:
        """What was read; where it would take all interactions away, what was before, and a remark."""
        if after.interactions:
            return after, ""
        return before.model_copy(update={"settings": after.settings}), (
            "the dimensions that are left would take every interaction away, so all are kept; a lower "
            "search.dimension_threshold keeps some"
        )


def stages_of(settings: Settings, layout: Layout) -> list[Stage]:
    """The stages of a whole search, in their order.

    Raises:
        SettingsError: For an unknown interaction function.

    >>> from fieldwise.layout import FieldLayout
    >>> from fieldwise.settings import resolve_settings
    >>> layout = Layout((FieldLayout("user", "categorical", 9), FieldLayout("movie", "categorical", 7)))
    >>> [stage.name for stage in stages_of(resolve_settings(model="aim", overrides={"orders": [2, 3]}), layout)]
    ['order 2', 'order 3', 'dimensions']
    """
    search = search_settings(settings)
    for function in functions_of(search):
        require_function(function)
    stages: list[Stage] = [
        OrderStage(order, layout, settings, search.max_interactions if order == search.orders[-1] else None)
        for order in search.orders
    ]
    return [*stages, DimensionsStage(layout, settings)] if search.embedding_sizes else stages


def search_settings(settings: Settings) -> SearchSettings:
    """Those of the search, of a model that searches."""
    assert settings.search is not None
    return settings.search


def functions_of(search: SearchSettings) -> tuple[str, ...]:
    """The interaction functions that are searched among."""
    return search.functions or tuple(function_names())


def extended(tuples: Sequence[tuple[str, ...]], fields: Sequence[str]) -> list[tuple[str, ...]]:
    """Each tuple with each field that it has not, in the order of `fields`, without repetition (AIM, section 3.4).

    >>> extended([("a", "b"), ("b", "c")], ["a", "b", "c", "d"])
    [('a', 'b', 'c'), ('a', 'b', 'd'), ('b', 'c', 'd')]
    """
    rank = {name: number for number, name in enumerate(fields)}
    larger = {tuple(sorted((*t, name), key=rank.__getitem__)) for t in tuples for name in fields if name not in t}
    return sorted(larger, key=lambda t: [rank[name] for name in t])


def strongest_functions(interactions: Sequence[Interaction], most: int | None) -> list[Interaction]:
    """Of every field tuple, the interactions of at most so many functions, those with the largest |gate|."""
    by_tuple: dict[tuple[str, ...], list[Interaction]] = {}
    for interaction in sorted(interactions, key=lambda i: -abs(i.gate)):
        by_tuple.setdefault(interaction.fields, []).append(interaction)
    return [interaction for of_tuple in by_tuple.values() for interaction in of_tuple[:most]]


def drop_empty(architecture: Architecture) -> Architecture:
    """Without the interactions of fields that have kept no embedding dimension for their function: these are zero.

    What only they have read is dropped with them.
    """

    def has_numbers(i: Interaction) -> bool:
        return all(architecture.kept_dimensions(i.order, i.function, name) for name in i.fields)

    return normalise(architecture.with_interactions(filter(has_numbers, architecture.interactions)))
