"""How far two architectures agree: over seeds this tells how stable a search is.

    Jaccard index       |A and B| / |A or B|, of the kept field tuples and of the (tuple, function) pairs
    rank correlation    Spearman's, of the tuples' strengths over the union; a tuple that is not kept has strength 0

A tuple is the same whatever the order of its fields in the two data sets.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any, TypeVar

from fieldwise.architecture import Architecture
from fieldwise.errors import SettingsError
from fieldwise.explain.summary import name_tuple, summarise
from fieldwise.metrics import rank_correlation
from fieldwise.reporting.tables import Section, to_markdown

Fields = tuple[str, ...]
Pair = tuple[Fields, str]
Key = TypeVar("Key")

_MOST_SHOWN = 10


@dataclass(frozen=True)
class OrderDifference:
    """The tuples and (tuple, function) pairs of one order, each list with the strongest of either side first.

    Args:
        order: Of all of them.
        both, only_a, only_b: The tuples.
        pairs_both, pairs_only_a, pairs_only_b: The pairs.
        rank_correlation: Spearman's, in [-1, 1]; None where one side's strengths over the union are all the same.
    """

    order: int
    both: tuple[Fields, ...]
    only_a: tuple[Fields, ...]
    only_b: tuple[Fields, ...]
    pairs_both: tuple[Pair, ...]
    pairs_only_a: tuple[Pair, ...]
    pairs_only_b: tuple[Pair, ...]
    rank_correlation: float | None

    @property
    def jaccard(self) -> float:
        """Of the tuples, in [0, 1]."""
        return len(self.both) / (len(self.both) + len(self.only_a) + len(self.only_b))

    @property
    def pairs_jaccard(self) -> float:
        """Of the (tuple, function) pairs, in [0, 1]."""
        return len(self.pairs_both) / (len(self.pairs_both) + len(self.pairs_only_a) + len(self.pairs_only_b))


@dataclass(frozen=True)
class SizeChange:
    """A field's embedding size in A and in B; None where the field is not there."""

    field: str
    a: int | None
    b: int | None

    @property
    def change(self) -> int | None:
        """B less A; None where one side does not have the field."""
        return None if self.a is None or self.b is None else self.b - self.a


@dataclass(frozen=True)
class Difference:
    """What `compare_architectures` finds.

    Args:
        orders: That either has interactions of, ascending.
        sizes: Of all fields.
        fields_only_a, fields_only_b: Fields that one side alone has.
    """

    orders: tuple[OrderDifference, ...]
    sizes: tuple[SizeChange, ...]
    fields_only_a: Fields
    fields_only_b: Fields

    def to_dict(self) -> dict[str, Any]:
        """Everything by name, derived figures included, ready for JSON."""
        return {
            "fields_only_a": list(self.fields_only_a),
            "fields_only_b": list(self.fields_only_b),
            "orders": [
                {
                    "order": order.order,
                    "jaccard": order.jaccard,
                    "pairs_jaccard": order.pairs_jaccard,
                    "rank_correlation": order.rank_correlation,
                    "tuples": {
                        side: [list(fields) for fields in tuples]
                        for side, tuples in (("both", order.both), ("only_a", order.only_a), ("only_b", order.only_b))
                    },
                    "pairs": {
                        side: [{"fields": list(fields), "function": function} for fields, function in pairs]
                        for side, pairs in (
                            ("both", order.pairs_both),
                            ("only_a", order.pairs_only_a),
                            ("only_b", order.pairs_only_b),
                        )
                    },
                }
                for order in self.orders
            ],
            "sizes": [{**asdict(size), "change": size.change} for size in self.sizes],
        }

    def sections(self) -> list[Section]:
        """The tables that tell it; of the tuples that only one side keeps, the strongest ten."""
        return [*self._fields(), self._agreement(), *self._only(), *self._changes()]

    def to_markdown(self) -> str:
        """The tables in Markdown."""
        return to_markdown(self.sections())

    def _fields(self) -> list[Section]:
        sides = (("only in A", self.fields_only_a), ("only in B", self.fields_only_b))
        rows = [(side, ", ".join(names)) for side, names in sides if names]
        return [Section("Fields that differ", ("", ""), rows)] if rows else []

    def _agreement(self) -> Section:
        rows = []
        for order in self.orders:
            rho = "undefined" if order.rank_correlation is None else f"{order.rank_correlation:.3f}"
            counts = (order.both, order.only_a, order.only_b)
            rows.append((f"{order.order}", "tuples", *(f"{len(c):,}" for c in counts), f"{order.jaccard:.3f}", rho))
            pairs = (order.pairs_both, order.pairs_only_a, order.pairs_only_b)
            rows.append((f"{order.order}", "pairs", *(f"{len(c):,}" for c in pairs), f"{order.pairs_jaccard:.3f}", ""))
        if not rows:
            return Section("", ("", ""), [("interactions", "none in either")])
        return Section(
            "Agreement (tuples of fields, and pairs of tuple and function)",
            ("order", "of", "both", "only A", "only B", "Jaccard", "rank corr."),
            rows,
        )

    def _only(self) -> list[Section]:
        rows = []
        for order in self.orders:
            for side, tuples in (("A", order.only_a), ("B", order.only_b)):
                rows += [(f"{order.order}", side, name_tuple(fields)) for fields in tuples[:_MOST_SHOWN]]
                if len(tuples) > _MOST_SHOWN:
                    rows.append((f"{order.order}", side, f"and {len(tuples) - _MOST_SHOWN:,} weaker ones"))
        return [Section("Kept by one side only", ("order", "kept by", "fields"), rows)] if rows else []

    def _changes(self) -> list[Section]:
        rows = [
            (
                size.field,
                "" if size.a is None else f"{size.a:,}",
                "" if size.b is None else f"{size.b:,}",
                "" if size.change is None else f"{size.change:+,}",
            )
            for size in self.sizes
            if size.a != size.b
        ]
        return [Section("Changed embedding sizes", ("field", "A", "B", "change"), rows)] if rows else []


def compare_architectures(a: Architecture, b: Architecture) -> Difference:
    """Hold two architectures against each other.

    Fields that only one of them has are named, and tuples with such a field count as kept by that side alone. Sizes of
    fields are dimensions over all embeddings in use (see `fieldwise.explain.summary`).

    Args:
        a, b: The two.

    Raises:
        SettingsError: Where they have no field in common.

    >>> fields = {name: {"kind": "categorical", "size": 9} for name in ("user", "movie", "hour")}
    >>> pairs = [{"fields": pair, "function": "inner"} for pair in (("user", "movie"), ("user", "hour"))]
    >>> a, b = (
    ...     Architecture.model_validate({"embedding_dim": 4, "fields": fields, "interactions": interactions})
    ...     for interactions in (pairs, pairs[:1])
    ... )
    >>> compare_architectures(a, b).orders[0].jaccard
    0.5
    """
    if not a.fields.keys() & b.fields.keys():
        raise SettingsError(
            f"the architectures have no field in common, so there is nothing to compare: A has {_some(a.fields)}, "
            f"B has {_some(b.fields)}; name two that were searched on the same data"
        )
    place = {name: number for number, name in enumerate(dict.fromkeys([*a.fields, *b.fields]))}
    gates_a, gates_b = _gates(a, place), _gates(b, place)
    sizes_a, sizes_b = ({field.name: field.size for field in summarise(side).fields} for side in (a, b))
    return Difference(
        orders=tuple(_order_difference(order, gates_a, gates_b) for order in sorted({*a.orders, *b.orders})),
        sizes=tuple(SizeChange(name, sizes_a.get(name), sizes_b.get(name)) for name in place),
        fields_only_a=tuple(name for name in a.fields if name not in b.fields),
        fields_only_b=tuple(name for name in b.fields if name not in a.fields),
    )


def _gates(architecture: Architecture, place: Mapping[str, int]) -> dict[Pair, float]:
    """|gate| of each pair; its fields stand in one order for both architectures."""
    return {
        (tuple(sorted(i.fields, key=place.__getitem__)), i.function): abs(i.gate) for i in architecture.interactions
    }


def _order_difference(order: int, gates_a: Mapping[Pair, float], gates_b: Mapping[Pair, float]) -> OrderDifference:
    pairs_a, pairs_b = ({pair: g for pair, g in gates.items() if len(pair[0]) == order} for gates in (gates_a, gates_b))
    tuples_a, tuples_b = _strengths(pairs_a), _strengths(pairs_b)
    both, only_a, only_b = _sides(tuples_a, tuples_b)
    pairs_both, pairs_only_a, pairs_only_b = _sides(pairs_a, pairs_b)
    union = [*both, *only_a, *only_b]
    return OrderDifference(
        order=order,
        both=both,
        only_a=only_a,
        only_b=only_b,
        pairs_both=pairs_both,
        pairs_only_a=pairs_only_a,
        pairs_only_b=pairs_only_b,
        rank_correlation=rank_correlation([tuples_a.get(f, 0.0) for f in union], [tuples_b.get(f, 0.0) for f in union]),
    )


def _strengths(pairs: Mapping[Pair, float]) -> dict[Fields, float]:
    strengths: dict[Fields, float] = {}
    for (fields, _), gate in pairs.items():
        strengths[fields] = max(gate, strengths.get(fields, 0.0))
    return strengths


def _sides(a: Mapping[Key, float], b: Mapping[Key, float]) -> tuple[tuple[Key, ...], tuple[Key, ...], tuple[Key, ...]]:
    """What stands in both, in A only and in B only, each by its larger strength, falling."""

    def ordered(keys: Iterable[Key]) -> tuple[Key, ...]:
        return tuple(sorted(keys, key=lambda key: -max(a.get(key, 0.0), b.get(key, 0.0))))

    return (
        ordered(key for key in a if key in b),
        ordered(key for key in a if key not in b),
        ordered(key for key in b if key not in a),
    )


def _some(names: Iterable[str]) -> str:
    shown = list(names)
    return ", ".join(f"'{name}'" for name in shown[:3]) + (", ..." if len(shown) > 3 else "")
