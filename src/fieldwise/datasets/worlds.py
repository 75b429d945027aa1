"""Worlds that synthetic click logs are drawn from: fields, effects, and rows with the truth about them.

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
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from fieldwise.errors import DataError, SettingsError, suggest
from fieldwise.schema import FieldSpec, Schema

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Generator = np.random.Generator

LABEL = "click"


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
        >>> from fieldwise.datasets import make_click_log
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
        return standardised(rng.normal(size=len(self.share)), self.share)


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


def standardised(values: Floats, share: Floats) -> Floats:
    """Numbers shifted and scaled to mean 0 and variance 1.

    Args:
        values: the numbers.
        share: how frequent each is; they sum to 1.

    Returns:
        float64 [V].

    Shape:
        values, share: float64 [V].

    Example:
        >>> standardised(np.array([1.0, 3.0]), np.array([0.5, 0.5]))
        array([-1.,  1.])
    """
    centred = values - share @ values
    return centred / np.sqrt(share @ centred**2)
