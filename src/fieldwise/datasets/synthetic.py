"""Synthetic click logs: every interaction that matters is planted, so what a model finds can be checked.

A world is drawn from a seed: fields, token frequencies, effects. Rows are then drawn from the world. Fields are
independent of each other, and in every row x

    click ~ Bernoulli(p),   p = sigmoid(bias + sum over fields i of u_i[x_i] + sum over planted interactions)
    planted pair (i, j):         strength * a_i[x_i] * b_j[x_j]
    planted triple (i, j, k):    strength * a_i[x_i] * b_j[x_j] * c_k[x_k]

u_i, the first-order effect, has the field's strength as its standard deviation; a field may have none. Each interaction
has factors a, b, c of its own, and under the true distribution of its field each factor has mean 0 and variance 1. With
independent fields this means, for a pair and likewise for every proper subset of a triple,

    E[a_i b_j | x_i] = a_i[x_i] E[b_j] = 0,     Var[strength * a_i b_j] = strength^2

so no lower order carries anything of an interaction's part of the logit: a model without pairs cannot see the pairs,
one without triples cannot see the triple. (The sigmoid lets a trace through: where the base rate is below 1/2, tokens
with a large |a| are clicked slightly more often, because their logits vary more.) The bias is solved so that the mean
of p is the base rate. Categorical tokens are Zipf-distributed: the share of the r-th most frequent falls as r^-s.

`make_click_log` makes the demo's log with readable columns; `make_search_log` makes one with any number of fields,
of which some are noise, to test a search for interactions. Both are functions of their arguments alone.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import combinations

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from fieldwise.errors import DataError, SettingsError, suggest
from fieldwise.schema import Categorical, FieldSpec, MultiValued, Numeric, Schema

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Generator = np.random.Generator

LABEL = "click"
REFERENCE_ROWS = 50_000
"""Rows on which the bias is solved; a world must not depend on how many rows are then asked for."""


@dataclass(frozen=True, eq=False)
class SyntheticClickLog:
    """N rows of a world, with the truth about them.

    Attributes:
        table: the fields and the label column `click` (0 or 1).
        schema: the schema of the table.
        probability: the true click probability of each row.
        effects: what each field and each planted interaction adds to the logit, by the tuple of its field names; their
            sum and the bias are the logit of `probability`.
        noise_fields: the fields that carry nothing at all.
        world: what the rows were drawn from.

    Shape:
        probability, each of effects: float64 [N].

    Example:
        >>> log = make_click_log(1_000)
        >>> log.noise_fields, log.planted_triples
        (('server', 'colour', 'ticket'), (('category', 'device', 'position'),))
    """

    table: pa.Table
    schema: Schema
    probability: Floats
    effects: Mapping[tuple[str, ...], Floats]
    noise_fields: tuple[str, ...]
    world: World

    @property
    def planted_pairs(self) -> tuple[tuple[str, ...], ...]:
        """The planted interactions of two fields, as tuples of field names."""
        return tuple(fields for fields in self.effects if len(fields) == 2)

    @property
    def planted_triples(self) -> tuple[tuple[str, ...], ...]:
        """The planted interactions of three fields, as tuples of field names."""
        return tuple(fields for fields in self.effects if len(fields) == 3)

    @cached_property
    def bayes_auc(self) -> float:
        """The AUC of the true probabilities; no model can expect more on these rows."""
        return expected_auc(self.probability, self.probability)

    @cached_property
    def bayes_log_loss(self) -> float:
        """The expected log loss of the true probabilities, in nats; no model can expect less on these rows."""
        p = self.probability
        return float(-np.mean(p * np.log(p) + (1 - p) * np.log1p(-p)))

    @property
    def first_order_score(self) -> Floats:
        """The sum of the first-order effects: what a perfect model without interactions would rank by, float64 [N]."""
        single = [effect for fields, effect in self.effects.items() if len(fields) == 1]
        return np.sum(single, axis=0) if single else np.zeros(len(self.probability))

    def new_rows(self, num_rows: int, *, seed: int = 0, unseen: Mapping[str, float] | None = None) -> SyntheticClickLog:
        """Further rows of the same world.

        Args:
            num_rows: how many.
            seed: another one gives other rows, none gives the rows of this log.
            unseen: for a categorical field, the share of rows (expected, 0 to 1) whose token exists nowhere else in
                the world; such a token has no effect, so the row behaves like the average one. For example
                `{"user": 0.2}`.

        Returns:
            The rows.

        Raises:
            SettingsError: `unseen` names another field or an impossible share.
        """
        return self.world.draw(num_rows, rng=np.random.default_rng([2, self.world.seed, seed]), unseen=unseen)


def expected_auc(score: npt.ArrayLike, probability: npt.ArrayLike) -> float:
    """The AUC to expect of scores where row i is a click with its own probability.

    The expected number of pairs (click, other row) in the right order, ties counted half, divided by the expected
    number of such pairs; O(N log N).

    Args:
        score: larger for what is thought to be a click.
        probability: the true one of each row.

    Returns:
        The AUC.

    Raises:
        DataError: no such pair can occur.

    Shape:
        score, probability: [N].

    Example:
        >>> round(expected_auc([0.1, 0.5, 0.9], [0.2, 0.4, 0.6]), 4)
        0.7632
    """
    p = np.asarray(probability, dtype=np.float64)
    _, block = np.unique(np.asarray(score, dtype=np.float64), return_inverse=True)
    clicks, others = np.bincount(block, p), np.bincount(block, 1 - p)
    below = np.cumsum(others) - others
    # The sums over blocks pair each row with itself too, as a tie; a row is never both a click and none.
    itself = float(np.sum(p * (1 - p)))
    pairs = float(clicks.sum() * others.sum()) - itself
    if not pairs > 0:
        raise DataError("AUC is undefined: these probabilities allow no pair of a click and a non-click")
    return (float(np.sum(clicks * (below + others / 2))) - itself / 2) / pairs


@dataclass(frozen=True, eq=False)
class Tokens:
    """A field that shows one of V tokens (or tag lists): token v with probability `share[v]`.

    Attributes:
        name: the field's name.
        spec: how a schema has it.
        tokens: Arrow array.
        unseen: Arrow array of tokens that no ordinary row shows.
        share: how frequent each token is.
        unit_effect: with mean 0 and variance 1 under `share`; u is `strength` times it.
        strength: standard deviation of the first-order effect in the logit.

    Shape:
        tokens: [V].
        share, unit_effect: float64 [V].
    """

    name: str
    spec: FieldSpec
    tokens: pa.Array
    unseen: pa.Array
    share: Floats
    unit_effect: Floats
    strength: float

    def draw(self, num_rows: int, rng: Generator) -> Ints:
        """Draw rows.

        Args:
            num_rows: how many, N.
            rng: what they are drawn with.

        Returns:
            Positions into `tokens`, int64 [N].
        """
        return np.searchsorted(np.cumsum(self.share)[:-1], rng.random(num_rows), side="right")

    def factor(self, rng: Generator) -> Floats:
        """Random numbers with mean 0 and variance 1 under `share`, float64 [V]."""
        return _standardised(rng.normal(size=len(self.share)), self.share)


@dataclass(frozen=True, eq=False)
class Number:
    """A skewed number, exp(centre + spread * normal) rounded to `decimals`; a share of the cells is missing.

    Its first-order effect is strength * (ln(1 + x) - centre) / spread, and 0 where the cell is missing.

    Attributes:
        name: the field's name.
        spec: how a schema has it.
        centre: mean of the logarithm.
        spread: standard deviation of the logarithm.
        decimals: that the numbers are rounded to.
        missing: share of the cells.
        strength: standard deviation of the first-order effect in the logit.
    """

    name: str
    spec: FieldSpec
    centre: float
    spread: float
    decimals: int
    missing: float
    strength: float

    def draw(self, num_rows: int, rng: Generator) -> tuple[pa.Array, Floats]:
        """Draw rows.

        Args:
            num_rows: how many, N.
            rng: what they are drawn with.

        Returns:
            The column, and its effect, float64 [N].
        """
        value = np.round(np.exp(self.centre + self.spread * rng.normal(size=num_rows)), self.decimals)
        absent = rng.random(num_rows) < self.missing
        effect = np.where(absent, 0.0, self.strength * (np.log1p(value) - self.centre) / self.spread)
        return pa.array(value if self.decimals else value.astype(np.int64), mask=absent), effect


@dataclass(frozen=True, eq=False)
class Interaction:
    """A planted interaction.

    Attributes:
        fields: their names.
        factors: one per field, float64 [V] each.
        strength: its standard deviation in the logit.
    """

    fields: tuple[str, ...]
    factors: tuple[Floats, ...]
    strength: float


@dataclass(frozen=True, eq=False)
class World:
    """Fields, effects and bias, all fixed; rows can be drawn from it without end.

    Attributes:
        seed: what it was drawn from.
        fields: in the order of the table.
        interactions: the planted ones.
        group: the field that GAUC groups by.
        bias: of the logit.
    """

    seed: int
    fields: tuple[Tokens | Number, ...]
    interactions: tuple[Interaction, ...]
    group: str | None = None
    bias: float = 0.0

    def draw(self, num_rows: int, *, rng: Generator, unseen: Mapping[str, float] | None = None) -> SyntheticClickLog:
        """Draw rows.

        Args:
            num_rows: how many.
            rng: what they are drawn with.
            unseen: as in `SyntheticClickLog.new_rows`.

        Returns:
            The rows.

        Raises:
            SettingsError: `unseen` names another field or an impossible share.
        """
        unseen = unseen or {}
        self._check_unseen(unseen)
        columns: dict[str, pa.Array] = {}
        effects: dict[tuple[str, ...], Floats] = {}
        position: dict[str, Ints] = {}
        for field in self.fields:
            if isinstance(field, Number):
                columns[field.name], effect = field.draw(num_rows, rng)
            else:
                tokens = field.draw(num_rows, rng)
                if share := unseen.get(field.name, 0.0):
                    fresh = len(field.tokens) + rng.integers(len(field.unseen), size=num_rows)
                    tokens = np.where(rng.random(num_rows) < share, fresh, tokens)
                columns[field.name] = pa.concat_arrays([field.tokens, field.unseen]).take(pa.array(tokens))
                # Every unseen token shares the one entry behind the vocabulary, which has no effect.
                position[field.name] = np.minimum(tokens, len(field.tokens))
                effect = field.strength * np.append(field.unit_effect, 0.0)[position[field.name]]
            if field.strength:
                effects[field.name,] = effect
        for interaction in self.interactions:
            product = np.full(num_rows, interaction.strength)
            for name, factor in zip(interaction.fields, interaction.factors, strict=True):
                product *= np.append(factor, 0.0)[position[name]]
            effects[interaction.fields] = product
        logit = sum(effects.values(), start=np.full(num_rows, self.bias))
        # Kept off 0 and 1, so that the log loss of the truth stays finite whatever the strengths.
        probability = 1 / (1 + np.exp(-np.clip(logit, -30, 30)))
        columns[LABEL] = pa.array((rng.random(num_rows) < probability).astype(np.int8))
        schema = Schema(fields={f.name: f.spec for f in self.fields}, label=LABEL, group=self.group)
        planted = {name for interaction in self.interactions for name in interaction.fields}
        noise = tuple(f.name for f in self.fields if not f.strength and f.name not in planted)
        return SyntheticClickLog(pa.table(columns), schema, probability, effects, noise, self)

    def _check_unseen(self, unseen: Mapping[str, float]) -> None:
        able = [f.name for f in self.fields if isinstance(f, Tokens) and len(f.unseen)]
        for name, share in unseen.items():
            if name not in able:
                raise SettingsError(f"no unseen tokens for '{name}', it is no categorical field; {suggest(name, able)}")
            if not 0 <= share <= 1:
                raise SettingsError(f"unseen share of '{name}' must lie in [0, 1], got {share}")


def make_click_log(
    num_rows: int = 200_000,
    *,
    seed: int = 0,
    base_rate: float = 0.2,
    pair_strength: float = 0.8,
    triple_strength: float = 0.6,
    first_order_scale: float = 1.0,
) -> SyntheticClickLog:
    """The demo's log: who was shown which item where, and whether there was a click.

    Eleven fields carry something: `user` (4,000 ids) and `item` (2,000 ids), `category`, `device`, `hour`, `site`,
    `country`, `position` (8 to 40 tokens), `price` (5 % of the cells missing), `past_clicks` (a skewed count) and
    `tags` (several per row, separated by "|"). Three are noise: `server`, `colour`, `ticket`. Planted are the pairs
    (category, hour), (device, site) and (country, position) and the triple (category, device, position).

    With the defaults the best possible AUC is about 0.84, that of a model without interactions 0.66.

    Args:
        num_rows: how many.
        seed: of the world and its rows.
        base_rate: mean click probability, in (0, 1).
        pair_strength: standard deviation of each planted pair in the logit.
        triple_strength: standard deviation of the planted triple in the logit.
        first_order_scale: multiplies all first-order effects.

    Returns:
        The rows, with the truth about them.

    Raises:
        SettingsError: `base_rate` is impossible.

    Example:
        >>> log = make_click_log(1_000, seed=1)
        >>> log.table.num_rows, log.planted_pairs[0]
        (1000, ('category', 'hour'))
    """
    rng = np.random.default_rng([0, seed])
    scale = first_order_scale

    def field(name: str, tokens: pa.Array, unseen: pa.Array, *, zipf: float, strength: float) -> Tokens:
        return _tokens_field(name, tokens, unseen, rng=rng, zipf=zipf, strength=strength * scale)

    category = field("category", *_words("category", _CATEGORIES), zipf=0.5, strength=0.25)
    device = field("device", *_words("device", _DEVICES), zipf=0.6, strength=0.2)
    hour = field("hour", *_ids(0, 24, unseen=0), zipf=0.4, strength=0.1)
    site = field("site", *_numbered("site", 40), zipf=0.6, strength=0.2)
    country = field("country", *_words("country", _COUNTRIES), zipf=0.6, strength=0.0)
    position = field("position", *_ids(1, 8, unseen=0), zipf=0.4, strength=0.35)
    log = Numeric(transform="log")
    fields = (
        field("user", *_ids(1_000_000, 4_000), zipf=0.7, strength=0.35),
        field("item", *_ids(50_000, 2_000), zipf=0.8, strength=0.35),
        *(category, device, hour, site, country, position),
        Number("price", log, centre=3.0, spread=0.8, decimals=2, missing=0.05, strength=-0.25 * scale),
        Number("past_clicks", log, centre=1.0, spread=1.0, decimals=0, missing=0.0, strength=0.3 * scale),
        _tag_field("tags", rng=rng, strength=0.2 * scale),
        field("server", *_numbered("server", 16), zipf=0.3, strength=0.0),
        field("colour", *_words("colour", _COLOURS), zipf=0.5, strength=0.0),
        field("ticket", *_ids(700_000, 1_000), zipf=0.3, strength=0.0),
    )
    planted = [
        *(_plant(pair, pair_strength, rng) for pair in ((category, hour), (device, site), (country, position))),
        _plant((category, device, position), triple_strength, rng),
    ]
    world = _world(seed, fields, planted, base_rate=base_rate, group="user")
    return world.draw(num_rows, rng=np.random.default_rng([1, seed]))


def make_search_log(
    num_rows: int = 100_000,
    *,
    seed: int = 0,
    num_fields: int = 12,
    num_noise: int = 4,
    num_pairs: int = 3,
    num_triples: int = 1,
    cardinality: tuple[int, int] = (8, 30),
    zipf: float = 0.5,
    base_rate: float = 0.3,
    first_order_strength: float = 0.2,
    pair_strength: float = 0.8,
    triple_strength: float = 0.8,
) -> SyntheticClickLog:
    """A log to test a search on: which fields are noise and what is planted differ from seed to seed.

    All fields are categorical (`field_00`, ...).

    Args:
        num_rows: how many.
        seed: of the world and its rows.
        num_fields: how many, those of noise included.
        num_noise: how many fields carry nothing.
        num_pairs: how many different pairs of the other fields are planted.
        num_triples: how many triples of them are.
        cardinality: the range that the fields' sizes are drawn from, both ends included.
        zipf: how fast the share of tokens falls with their rank.
        base_rate: mean click probability, in (0, 1).
        first_order_strength: standard deviation in the logit of the effect of each field that is no noise.
        pair_strength: standard deviation of each planted pair in the logit.
        triple_strength: standard deviation of each planted triple in the logit.

    Returns:
        The rows, with the truth about them.

    Raises:
        SettingsError: there are too few fields to plant that much, or a value is impossible.

    Example:
        >>> log = make_search_log(1_000, num_fields=6, num_noise=2, num_pairs=1, num_triples=0)
        >>> len(log.schema.fields), len(log.noise_fields), len(log.planted_pairs)
        (6, 2, 1)
    """
    informative = num_fields - num_noise
    for what, count, order in (("pairs", num_pairs, 2), ("triples", num_triples, 3)):
        possible = math.comb(max(informative, 0), order)
        if not 0 <= count <= possible:
            raise SettingsError(
                f"{num_fields} fields with {num_noise} of noise have {possible} {what}; {count} cannot be planted"
            )
    low, high = cardinality
    if not 2 <= low <= high:
        raise SettingsError(f"cardinality must be a range from at least 2, got {cardinality}")
    rng = np.random.default_rng([0, seed])
    noise = set(rng.permutation(num_fields)[:num_noise].tolist())
    fields = tuple(
        _tokens_field(
            f"field_{i:02d}",
            *_numbered("token", int(rng.integers(low, high, endpoint=True))),
            rng=rng,
            zipf=zipf,
            strength=0.0 if i in noise else first_order_strength,
        )
        for i in range(num_fields)
    )
    able = [field for i, field in enumerate(fields) if i not in noise]
    planted = []
    for order, count, strength in ((2, num_pairs, pair_strength), (3, num_triples, triple_strength)):
        possibilities = list(combinations(able, order))
        places = np.sort(rng.permutation(len(possibilities))[:count])
        planted += [_plant(possibilities[i], strength, rng) for i in places]
    world = _world(seed, fields, planted, base_rate=base_rate)
    return world.draw(num_rows, rng=np.random.default_rng([1, seed]))


def _tokens_field(
    name: str, tokens: pa.Array, unseen: pa.Array, *, rng: Generator, zipf: float, strength: float
) -> Tokens:
    # Shuffled, so that neither the order of the tokens nor their size tells how frequent they are.
    share = rng.permutation(np.arange(1, len(tokens) + 1) ** -zipf)
    share /= share.sum()
    effect = _standardised(rng.normal(size=len(tokens)), share)
    return Tokens(name, Categorical(), tokens, unseen, share, effect, strength)


def _tag_field(name: str, *, rng: Generator, strength: float, num_lists: int = 500) -> Tokens:
    """A multi-valued field with 0 to 4 tags per row; the effect of a list is the mean of its tags' effects."""
    words = _TAGS.split()
    tag_effect = rng.normal(size=len(words))
    share = np.arange(1, len(words) + 1) ** -0.7
    sizes = rng.choice(5, size=num_lists, p=[0.1, 0.3, 0.3, 0.2, 0.1])
    lists = [rng.choice(len(words), size=size, replace=False, p=share / share.sum()) for size in sizes]
    tokens = pa.array(["|".join(words[i] for i in tags) or None for tags in lists], pa.string())
    even = np.full(num_lists, 1 / num_lists)
    effect = _standardised(np.array([tag_effect[tags].sum() / max(len(tags), 1) for tags in lists]), even)
    return Tokens(name, MultiValued(separator="|"), tokens, pa.array([], pa.string()), even, effect, strength)


def _plant(fields: tuple[Tokens, ...], strength: float, rng: Generator) -> Interaction:
    return Interaction(tuple(f.name for f in fields), tuple(f.factor(rng) for f in fields), strength)


def _standardised(values: Floats, share: Floats) -> Floats:
    centred = values - share @ values
    return centred / np.sqrt(share @ centred**2)


def _world(
    seed: int,
    fields: tuple[Tokens | Number, ...],
    interactions: list[Interaction],
    *,
    base_rate: float,
    group: str | None = None,
) -> World:
    """A world with the bias that makes the mean click probability `base_rate`, found by bisection."""
    if not 0 < base_rate < 1:
        raise SettingsError(f"base_rate must lie strictly between 0 and 1, got {base_rate}")
    world = World(seed, fields, tuple(i for i in interactions if i.strength), group)
    p = world.draw(REFERENCE_ROWS, rng=np.random.default_rng([3, seed])).probability
    logit = np.log(p) - np.log1p(-p)
    low, high = -50.0, 50.0
    while high - low > 1e-9:
        middle = (low + high) / 2
        too_high = np.mean(1 / (1 + np.exp(-logit - middle))) > base_rate
        low, high = (low, middle) if too_high else (middle, high)
    return replace(world, bias=(low + high) / 2)


def _ids(first: int, count: int, *, unseen: int = 1_000) -> tuple[pa.Array, pa.Array]:
    """Integer tokens, and as many unseen ones behind them."""
    return pa.array(np.arange(first, first + count)), pa.array(np.arange(first + count, first + count + unseen))


def _words(name: str, words: str, *, unseen: int = 10) -> tuple[pa.Array, pa.Array]:
    return pa.array(words.split()), _numbered(f"new-{name}", unseen)[0]


def _numbered(name: str, count: int, *, unseen: int = 10) -> tuple[pa.Array, pa.Array]:
    return (
        pa.array([f"{name}-{i:02d}" for i in range(count)], pa.string()),
        pa.array([f"new-{name}-{i:02d}" for i in range(unseen)], pa.string()),
    )


_CATEGORIES = "art books camping cars cooking fashion finance fitness games garden health music news pets toys travel"
_DEVICES = "android-phone android-tablet chromebook console ipad iphone linux-pc mac smart-tv windows-pc"
_COUNTRIES = "AT AU BE BR CA CH CZ DE DK ES FI FR IN IT JP KR MX NL NO PL PT SE UK US"
_COLOURS = "amber black blue brown green grey orange pink purple red white yellow"
_TAGS = "bundle classic compact digital gift kids limited local new organic outdoor premium sale used vegan"
