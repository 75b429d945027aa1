"""Synthetic click logs: every interaction that matters is planted, so what a model finds can be checked.

How rows come about is said in `fieldwise.datasets.worlds`. `make_click_log` makes the demo's log with readable columns;
`make_search_log` makes one with any number of fields, of which some are noise, to test a search for interactions. Both
are functions of their arguments alone.
"""

from __future__ import annotations

import math
from dataclasses import replace
from itertools import combinations

import numpy as np
import pyarrow as pa

from fieldwise.datasets.worlds import (
    Generator,
    Interaction,
    Number,
    SyntheticClickLog,
    Tokens,
    World,
    standardised,
)
from fieldwise.errors import SettingsError
from fieldwise.schema import Categorical, MultiValued, Numeric

REFERENCE_ROWS = 50_000
"""Rows on which the bias is solved; a world must not depend on how many rows are then asked for."""


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
    effect = standardised(rng.normal(size=len(tokens)), share)
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
    effect = standardised(np.array([tag_effect[tags].sum() / max(len(tags), 1) for tags in lists]), even)
    return Tokens(name, MultiValued(separator="|"), tokens, pa.array([], pa.string()), even, effect, strength)


def _plant(fields: tuple[Tokens, ...], strength: float, rng: Generator) -> Interaction:
    return Interaction(tuple(f.name for f in fields), tuple(f.factor(rng) for f in fields), strength)


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
