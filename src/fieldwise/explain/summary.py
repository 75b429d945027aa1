"""What an architecture consists of: the kept interactions, the FI ratio, the embedding sizes and what they save.

    FI ratio          kept interactions of an order / all that there are (AIM, Table 3). The paper does not say what
                      it counts, so both are given: field tuples with at least one function / C(n, p), and
                      (tuple, function) pairs / (C(n, p) * K). The denominator is never the pool that a search
                      grew from the order below.
    embedding size    of a field: the dimensions it keeps, summed over the (order, function) embeddings in use
                      (AIM, Table 6)

n fields, order p, K functions. Source: Zhu et al., "AIM: Automatic Interaction Machine for Click-Through Rate
Prediction", 2021 (arXiv 2111.03318).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from fieldwise.architecture import Architecture, DataSummary, num_tuples
from fieldwise.errors import SettingsError
from fieldwise.layout import Kind
from fieldwise.reporting.tables import Section, to_markdown

SHARED = "shared"
"""The function that an order's one embedding goes by where all functions share it."""


@dataclass(frozen=True)
class KeptTuple:
    """A field tuple that is kept.

    Args:
        fields: In schema order.
        gates: Of each function that computes it, strongest first.
    """

    fields: tuple[str, ...]
    gates: Mapping[str, float]

    @property
    def strength(self) -> float:
        """The largest |gate|."""
        return max(map(abs, self.gates.values()))


@dataclass(frozen=True)
class OrderSummary:
    """The interactions of one order.

    Args:
        order: How many fields they have.
        tuples: Field tuples with at least one function.
        pairs: (tuple, function) pairs, which is the number of interactions.
        by_function: Pairs of each function, 0 included.
        all_tuples: C(n, p).
        strongest: The first tuples by falling strength.
    """

    order: int
    tuples: int
    pairs: int
    by_function: Mapping[str, int]
    all_tuples: int
    strongest: tuple[KeptTuple, ...]

    @property
    def all_pairs(self) -> int:
        """C(n, p) * K."""
        return self.all_tuples * len(self.by_function)

    @property
    def tuple_ratio(self) -> float:
        """The FI ratio by tuples, in [0, 1]."""
        return self.tuples / self.all_tuples

    @property
    def pair_ratio(self) -> float:
        """The FI ratio by (tuple, function) pairs, in [0, 1]."""
        return self.pairs / self.all_pairs


@dataclass(frozen=True)
class EmbeddingSummary:
    """One embedding in use.

    Args:
        order, function: Of the interactions that read it; `shared` with one per order.
        dimensions: How many each field keeps of its D, 0 for a field that no interaction of this order and function
            touches.
    """

    order: int
    function: str
    dimensions: Mapping[str, int]


@dataclass(frozen=True)
class FieldSize:
    """A field's embedding size.

    Args:
        name, kind: Of the field.
        rows: Of its embedding.
        size, full: Dimensions over all embeddings in use, kept and with nothing removed.
    """

    name: str
    kind: Kind
    rows: int
    size: int
    full: int

    @property
    def parameters(self) -> int:
        """Numbers that the kept dimensions hold."""
        return self.rows * self.size

    @property
    def full_parameters(self) -> int:
        """Numbers without any dimension removed."""
        return self.rows * self.full


@dataclass(frozen=True)
class ArchitectureSummary:
    """What `summarise` finds.

    Args:
        model, data, embedding_dim, shared_embedding: As the architecture has them.
        functions: Those that the FI ratio counts.
        all_searched: Whether these are known to be all that were searched, or merely those in use.
        orders: That have interactions, ascending.
        embeddings: In use.
        fields: In schema order.
    """

    model: str
    data: DataSummary
    embedding_dim: int
    shared_embedding: bool
    functions: tuple[str, ...]
    all_searched: bool
    orders: tuple[OrderSummary, ...]
    embeddings: tuple[EmbeddingSummary, ...]
    fields: tuple[FieldSize, ...]

    @property
    def interactions(self) -> int:
        """Kept interactions of all orders."""
        return sum(order.pairs for order in self.orders)

    @property
    def parameters(self) -> int:
        """Embedding parameters of the kept dimensions: interactions only, without first-order weights."""
        return sum(field.parameters for field in self.fields)

    @property
    def full_parameters(self) -> int:
        """Embedding parameters if every field kept all D dimensions in every embedding in use."""
        return sum(field.full_parameters for field in self.fields)

    @property
    def saved(self) -> float:
        """Share of the embedding parameters that is removed, in [0, 1]; 0 where there are none."""
        return 1.0 - self.parameters / self.full_parameters if self.full_parameters else 0.0

    def to_dict(self) -> dict[str, Any]:
        """Everything by name, derived figures included, ready for JSON."""
        return {
            "model": self.model,
            "data": self.data.model_dump(mode="json"),
            "embedding_dim": self.embedding_dim,
            "shared_embedding": self.shared_embedding,
            "functions": list(self.functions),
            "all_searched": self.all_searched,
            "interactions": self.interactions,
            "parameters": self.parameters,
            "full_parameters": self.full_parameters,
            "saved": self.saved,
            "orders": [
                {
                    **asdict(order),
                    "all_pairs": order.all_pairs,
                    "tuple_ratio": order.tuple_ratio,
                    "pair_ratio": order.pair_ratio,
                    "strongest": [
                        {"fields": list(entry.fields), "gates": dict(entry.gates)} for entry in order.strongest
                    ],
                }
                for order in self.orders
            ],
            "embeddings": [asdict(embedding) for embedding in self.embeddings],
            "fields": [
                {**asdict(field), "parameters": field.parameters, "full_parameters": field.full_parameters}
                for field in self.fields
            ],
        }

    def sections(self) -> list[Section]:
        """The tables that tell it, each narrow enough for 80 columns with short names."""
        return [self._overview(), *self._kept(), *map(self._strongest, self.orders), self._sizes()]

    def to_markdown(self) -> str:
        """The tables in Markdown."""
        return to_markdown(self.sections())

    def _overview(self) -> Section:
        data = self.data
        told = [data.source, f"{data.rows:,} rows" if data.rows else ""]
        told.append("" if data.base_rate is None else f"base rate {data.base_rate:.4f}")
        rows = [
            ("found by", self.model),
            ("in", ", ".join(filter(None, told)) or "unknown data"),
            ("fields", f"{len(self.fields)}"),
            ("functions searched" if self.all_searched else "functions in use", ", ".join(self.functions) or "none"),
            ("interactions", f"{self.interactions:,}" if self.orders else "none: only first-order effects are left"),
            ("embedding size D", f"{self.embedding_dim} per field and {self._per}"),
            (
                "embedding parameters",
                f"{self.parameters:,} of {self.full_parameters:,}, {self.saved:.1%} saved"
                if self.full_parameters
                else "none",
            ),
        ]
        return Section("", ("", ""), rows)

    @property
    def _per(self) -> str:
        return "order" if self.shared_embedding else "order and function"

    def _kept(self) -> list[Section]:
        rows = []
        for order in self.orders:
            for function, pairs in order.by_function.items():
                rows.append(_ratio_row(order.order, function, pairs, order.all_tuples))
            rows.append(_ratio_row(order.order, "tuples with any function", order.tuples, order.all_tuples))
            rows.append(_ratio_row(order.order, "(tuple, function) pairs", order.pairs, order.all_pairs))
        return [Section("Kept interactions", ("order", "function", "kept", "of", "FI ratio"), rows)] if rows else []

    def _strongest(self, order: OrderSummary) -> Section:
        title = f"Strongest of order {order.order}"
        if order.tuples > len(order.strongest):
            title += f" ({len(order.strongest):,} of {order.tuples:,})"
        rows = [
            (name_tuple(entry.fields), ", ".join(f"{function} {gate:.3g}" for function, gate in entry.gates.items()))
            for entry in order.strongest
        ]
        return Section(title, ("fields", "functions and their gates"), rows)

    def _sizes(self) -> Section:
        title = f"Embedding sizes over {len(self.embeddings)} embeddings"
        rows = [
            (field.name, field.kind, f"{field.rows:,}", f"{field.size:,}", f"{field.full:,}", f"{field.parameters:,}")
            for field in self.fields
        ]
        return Section(title, ("field", "kind", "rows", "size", "of", "parameters"), rows, ("kind", "of"))


def summarise(
    architecture: Architecture, *, functions: Iterable[str] | None = None, strongest: int = 10
) -> ArchitectureSummary:
    """Count what an architecture keeps.

    Args:
        architecture: Which.
        functions: Those that the search chose among, the K of the FI ratio's denominator; None takes the list under
            `functions` in the architecture's settings, and where there is none the functions in use. Functions in use
            count in any case.
        strongest: How many tuples of each order to list.

    Raises:
        SettingsError: Where `strongest` is negative.

    >>> fields = {name: {"kind": "categorical", "size": 9} for name in ("user", "movie", "hour")}
    >>> pair = {"fields": ("user", "movie"), "function": "inner", "gate": 0.6}
    >>> content = {"embedding_dim": 4, "fields": fields, "interactions": [pair]}
    >>> summary = summarise(Architecture.model_validate(content))
    >>> summary.orders[0].tuples, summary.orders[0].all_tuples, summary.parameters
    (1, 3, 72)
    """
    if strongest < 0:
        raise SettingsError(f"strongest: expected how many tuples to list, 0 or more; got {strongest}")
    recorded = architecture.settings.get("functions") if functions is None else tuple(functions)
    is_listed = isinstance(recorded, list | tuple) and all(isinstance(function, str) for function in recorded)
    named: Iterable[str] = recorded if is_listed and recorded is not None else ()
    counted = tuple(dict.fromkeys([*named, *architecture.functions]))
    embeddings = tuple(
        EmbeddingSummary(
            order,
            function,
            {
                name: len(architecture.kept_dimensions(order, function, name)) if name in touched else 0
                for name in architecture.fields
            },
        )
        for (order, function), touched in embeddings_in_use(architecture).items()
    )
    return ArchitectureSummary(
        model=architecture.model,
        data=architecture.data,
        embedding_dim=architecture.embedding_dim,
        shared_embedding=architecture.shared_embedding,
        functions=counted,
        all_searched=is_listed,
        orders=tuple(_summarise_order(architecture, order, counted, strongest) for order in architecture.orders),
        embeddings=embeddings,
        fields=tuple(
            FieldSize(
                name=name,
                kind=field.kind,
                rows=field.size,
                size=sum(embedding.dimensions[name] for embedding in embeddings),
                full=architecture.embedding_dim * len(embeddings),
            )
            for name, field in architecture.fields.items()
        ),
    )


def embeddings_in_use(architecture: Architecture) -> dict[tuple[int, str], set[str]]:
    """The (order, function) embeddings that an interaction reads, ascending, with the fields that they are read for.

    With `shared_embedding` an order has one, under the function `shared`.
    """
    touched: dict[tuple[int, str], set[str]] = {}
    for interaction in architecture.interactions:
        function = SHARED if architecture.shared_embedding else interaction.function
        touched.setdefault((interaction.order, function), set()).update(interaction.fields)
    place = {function: number for number, function in enumerate((*architecture.functions, SHARED))}
    return dict(sorted(touched.items(), key=lambda entry: (entry[0][0], place[entry[0][1]])))


def name_tuple(fields: Iterable[str]) -> str:
    """A field tuple as one reads it."""
    return " × ".join(fields)


def _summarise_order(
    architecture: Architecture, order: int, functions: tuple[str, ...], strongest: int
) -> OrderSummary:
    by_function = dict.fromkeys(functions, 0)
    gates: dict[tuple[str, ...], dict[str, float]] = {}
    for interaction in architecture.of(order):
        by_function[interaction.function] += 1
        gates.setdefault(interaction.fields, {})[interaction.function] = interaction.gate
    return OrderSummary(
        order=order,
        tuples=len(gates),
        pairs=sum(by_function.values()),
        by_function=by_function,
        all_tuples=num_tuples(len(architecture.fields), order),
        # `of` goes by falling |gate|, so tuples come in the order of their strongest function.
        strongest=tuple(KeptTuple(fields, gates[fields]) for fields in list(gates)[:strongest]),
    )


def _ratio_row(order: int, what: str, count: int, total: int) -> tuple[str, ...]:
    return str(order), what, f"{count:,}", f"{total:,}", f"{count / total:.2%}"
