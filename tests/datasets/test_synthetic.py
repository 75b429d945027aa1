from __future__ import annotations

from itertools import combinations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest

from fieldwise import metrics
from fieldwise.datasets.synthetic import make_click_log, make_search_log
from fieldwise.datasets.worlds import SyntheticClickLog, Tokens, expected_auc
from fieldwise.errors import DataError, SettingsError
from fieldwise.schema import Categorical, MultiValued, Numeric


@pytest.fixture(scope="module")
def demo() -> SyntheticClickLog:
    return make_click_log(60_000)


def codes(log: SyntheticClickLog, *fields: str) -> np.ndarray:
    """One integer per row for the combination of tokens of these fields."""
    combined = np.zeros(log.table.num_rows, dtype=np.int64)
    for field in fields:
        code = log.table[field].combine_chunks().dictionary_encode().indices.to_numpy()
        combined = np.unique(combined * (code.max() + 1) + code, return_inverse=True)[1]
    return combined


def mean_chi_square(values: np.ndarray, group: np.ndarray) -> float:
    """Mean over the groups of (group mean)^2 / its sampling variance: about 1 where all conditional means are 0."""
    size = np.bincount(group)
    mean = np.bincount(group, values) / size
    variance = np.bincount(group, values**2) / size - mean**2
    large = size >= 100
    assert large.sum() >= 4
    return float(np.mean(mean[large] ** 2 / (variance[large] / size[large])))


def test_the_table_of_the_demo(demo: SyntheticClickLog) -> None:
    table, schema = demo.table, demo.schema
    assert table.column_names == [*schema.fields, "click"]
    assert (schema.label, schema.group) == ("click", "user")
    assert schema.fields["tags"] == MultiValued(separator="|")
    assert isinstance(schema.fields["price"], Numeric)
    assert isinstance(schema.fields["user"], Categorical)
    for name in ("user", "item", "hour", "past_clicks"):
        assert pa.types.is_integer(table[name].type)
    assert pa.types.is_string(table["category"].type)
    assert set(table["click"].to_pylist()) == {0, 1}
    assert pc.count_distinct(table["user"]).as_py() > 3_000
    assert 0.03 < table["price"].null_count / table.num_rows < 0.07
    past = table["past_clicks"].to_numpy()
    assert past.min() >= 0
    assert past.mean() > 1.3 * np.median(past)
    lists = [text.split("|") for text in table["tags"].drop_null().to_pylist()]
    assert max(map(len, lists)) == 4
    assert all(len(set(tags)) == len(tags) for tags in lists)
    assert demo.noise_fields == ("server", "colour", "ticket")
    assert demo.planted_pairs == (("category", "hour"), ("device", "site"), ("country", "position"))
    assert demo.planted_triples == (("category", "device", "position"),)


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_the_signals_of_the_demo(seed: int) -> None:
    log = make_click_log(40_000, seed=seed)
    assert 0.19 < log.probability.mean() < 0.21
    assert 0.80 < log.bayes_auc < 0.85
    assert 0.62 < expected_auc(log.first_order_score, log.probability) < 0.70


def test_a_fitted_first_order_model_stays_far_below_the_best() -> None:
    from sklearn.linear_model import LogisticRegression
    from sklearn.preprocessing import OneHotEncoder

    log = make_search_log(30_000)
    rows = np.stack([column.to_numpy() for column in log.table.drop_columns("click").columns], axis=1)
    one_hot = OneHotEncoder().fit_transform(rows)
    click = log.table["click"].to_numpy()
    model = LogisticRegression(C=0.1).fit(one_hot[:20_000], click[:20_000])
    found = metrics.auc(click[20_000:], model.decision_function(one_hot[20_000:]))
    assert found is not None
    assert 0.55 < found < 0.66
    assert log.bayes_auc > 0.80


def test_the_effects_add_up_to_the_logit(demo: SyntheticClickLog) -> None:
    logit = sum(demo.effects.values()) + demo.world.bias
    assert np.allclose(np.log(demo.probability / (1 - demo.probability)), logit, rtol=0, atol=1e-8)
    click = demo.table["click"].to_numpy()
    assert mean_chi_square(click - demo.probability, codes(demo, "position")) < 3
    assert abs(click.mean() - demo.probability.mean()) < 0.01


def test_factors_are_centred_with_unit_variance_under_the_true_distribution() -> None:
    for log in (make_click_log(10), make_search_log(10, seed=5)):
        share = {f.name: f.share for f in log.world.fields if isinstance(f, Tokens)}
        assert log.world.interactions
        for interaction in log.world.interactions:
            for name, factor in zip(interaction.fields, interaction.factors, strict=True):
                assert abs(share[name].sum() - 1) < 1e-12
                assert abs(share[name] @ factor) < 1e-12
                assert abs(share[name] @ factor**2 - 1) < 1e-12


def test_rows_follow_the_true_distribution() -> None:
    log = make_search_log(200_000, num_fields=6, num_noise=1)
    for field in log.world.fields:
        assert isinstance(field, Tokens)
        counts = pc.index_in(log.table[field.name], value_set=field.tokens).to_numpy()
        observed = np.bincount(counts, minlength=len(field.share))
        expected = field.share * 200_000
        assert np.mean((observed - expected) ** 2 / expected) < 3


@pytest.mark.parametrize("order", [2, 3])
def test_no_lower_order_carries_anything_of_an_interaction(demo: SyntheticClickLog, order: int) -> None:
    for fields, effect in demo.effects.items():
        if len(fields) != order:
            continue
        for below in range(1, order):
            for subset in combinations(fields, below):
                assert mean_chi_square(effect, codes(demo, *subset)) < 3, subset
        # The check can fail: given all its fields, the effect is what it is, not 0 on average.
        assert abs(effect.std() - (0.8 if order == 2 else 0.6)) < 0.05
    # And it does fail for an effect that is first-order.
    assert mean_chi_square(demo.effects["category",], codes(demo, "category") // 2) > 3


def test_noise_fields_carry_nothing(demo: SyntheticClickLog) -> None:
    for noise in demo.noise_fields:
        centred = demo.probability - demo.probability.mean()
        group = codes(demo, noise)
        if len(np.unique(group)) < 100:
            assert mean_chi_square(centred, group) < 3
        assert not any(noise in fields for fields in demo.effects)


def test_expected_auc_counts_pairs_and_halves_ties() -> None:
    rng = np.random.default_rng(0)
    probability = rng.choice([0.1, 0.3, 0.3, 0.8], size=30)
    score = rng.choice([1.0, 2.0, 3.0], size=30)
    won = pairs = 0.0
    for i in range(30):
        for j in range(30):
            if i != j:
                chance = probability[i] * (1 - probability[j])
                pairs += chance
                won += chance * (1.0 if score[i] > score[j] else 0.5 if score[i] == score[j] else 0.0)
    assert expected_auc(score, probability) == pytest.approx(won / pairs, rel=1e-12)
    assert expected_auc([0.2, 0.9, 0.4], [0.0, 1.0, 0.0]) == pytest.approx(1.0)
    with pytest.raises(DataError, match="no pair"):
        expected_auc([0.1, 0.2], [1.0, 1.0])


def test_bayes_metrics_match_drawn_labels(demo: SyntheticClickLog) -> None:
    click = demo.table["click"].to_numpy()
    found = metrics.auc(click, demo.probability)
    assert found is not None
    assert abs(found - demo.bayes_auc) < 0.01
    assert abs(metrics.log_loss(click, demo.probability) - demo.bayes_log_loss) < 0.01


def test_the_same_seed_gives_the_same_rows_and_another_seed_another_world() -> None:
    one, same, other = (make_click_log(500, seed=seed) for seed in (7, 7, 8))
    assert one.table.equals(same.table)
    assert np.array_equal(one.probability, same.probability)
    assert not one.table.equals(other.table)
    # How many rows are drawn does not change the world.
    assert make_click_log(100, seed=7).world.bias == one.world.bias


def test_new_rows_come_from_the_same_world_with_unseen_users() -> None:
    log = make_click_log(20_000)
    new = log.new_rows(5_000, unseen={"user": 0.2, "category": 0.1})
    assert new.world is log.world
    users = {f.name: f for f in log.world.fields}["user"]
    assert isinstance(users, Tokens)
    fresh = np.array(pc.invert(pc.is_in(new.table["user"], value_set=users.tokens)))
    assert abs(fresh.mean() - 0.2) < 0.03
    assert not set(new.table["user"].filter(pa.array(fresh)).to_pylist()) & set(log.table["user"].to_pylist())
    # An unseen token has no effect, in no order.
    assert np.all(new.effects["user",][fresh] == 0)
    strange = np.array(pc.starts_with(new.table["category"], "new-category-"))
    assert abs(strange.mean() - 0.1) < 0.03
    assert np.all(new.effects["category", "hour"][strange] == 0)
    assert np.any(new.effects["category", "hour"][~strange] != 0)
    assert new.table.schema == log.table.schema
    # A known token keeps its effect.
    effect = dict(zip(log.table["user"].to_pylist(), log.effects["user",], strict=True))
    known = [(u, e) for u, e in zip(new.table["user"].to_pylist(), new.effects["user",], strict=True) if u in effect]
    assert len(known) > 3_000
    assert all(effect[user] == value for user, value in known)
    assert new.table.equals(log.new_rows(5_000, unseen={"user": 0.2, "category": 0.1}).table)
    assert not log.new_rows(50, seed=1).table.equals(log.new_rows(50, seed=0).table)
    assert not log.new_rows(50).table.equals(make_click_log(50).table)
    assert log.new_rows(0).table.num_rows == 0


def test_a_search_log_is_as_ordered() -> None:
    log = make_search_log(1_000, seed=1, num_fields=9, num_noise=3, num_pairs=4, num_triples=2, cardinality=(5, 7))
    assert list(log.schema.fields) == [f"field_{i:02d}" for i in range(9)]
    assert len(log.noise_fields) == 3
    assert (len(set(log.planted_pairs)), len(set(log.planted_triples))) == (4, 2)
    for fields in (*log.planted_pairs, *log.planted_triples):
        assert list(fields) == sorted(fields)
        assert not set(fields) & set(log.noise_fields)
    for field in log.world.fields:
        assert isinstance(field, Tokens)
        assert 5 <= len(field.tokens) <= 7
    settings = {
        (found.noise_fields, found.planted_pairs) for found in (make_search_log(10, seed=seed) for seed in range(4))
    }
    assert len(settings) == 4


def test_strength_zero_plants_nothing() -> None:
    log = make_search_log(100, first_order_strength=0.0, triple_strength=0.0)
    assert log.planted_triples == ()
    assert all(len(fields) == 2 for fields in log.effects)
    assert len(log.noise_fields) == 12 - len({name for pair in log.planted_pairs for name in pair})
    assert np.all(log.first_order_score == 0)
    nothing = make_search_log(100, first_order_strength=0.0, num_pairs=0, num_triples=0)
    assert np.ptp(nothing.probability) == 0
    assert nothing.bayes_auc == pytest.approx(0.5)
    extreme = make_search_log(1_000, pair_strength=500.0)
    assert np.isfinite(extreme.bayes_log_loss)


def test_impossible_wishes_are_refused() -> None:
    with pytest.raises(SettingsError, match="6 fields with 4 of noise have 1 pairs; 3 cannot be planted"):
        make_search_log(10, num_fields=6)
    with pytest.raises(SettingsError, match="0 triples; 1 cannot"):
        make_search_log(10, num_fields=4, num_noise=2, num_pairs=1)
    with pytest.raises(SettingsError, match=r"cardinality .* got \(1, 4\)"):
        make_search_log(10, cardinality=(1, 4))
    with pytest.raises(SettingsError, match=r"base_rate .* got 1\.5"):
        make_click_log(10, base_rate=1.5)
    log = make_click_log(10)
    with pytest.raises(SettingsError, match=r"no unseen tokens for 'usr'.*did you mean 'user'"):
        log.new_rows(5, unseen={"usr": 0.5})
    with pytest.raises(SettingsError, match="no unseen tokens for 'price'"):
        log.new_rows(5, unseen={"price": 0.5})
    with pytest.raises(SettingsError, match=r"must lie in \[0, 1\], got 2"):
        log.new_rows(5, unseen={"user": 2})
