"""Two architectures held against each other, against figures worked out by hand."""

import json

import pytest
from scipy import stats

from fieldwise.architecture import Architecture, FieldSummary, Interaction
from fieldwise.errors import SettingsError
from fieldwise.explain.difference import compare_architectures


def architecture(*interactions: tuple[str, str, float], names: str = "abcd", **more) -> Architecture:
    """Of interactions such as ("ab", "inner", 0.5): a field is a letter."""
    return Architecture(
        embedding_dim=4,
        fields={name: FieldSummary(kind="categorical", size=10) for name in names},
        interactions=tuple(Interaction(fields=tuple(f), function=k, gate=g) for f, k, g in interactions),
        **more,
    )


A = architecture(
    ("ab", "inner", 0.9),
    ("ab", "outer", 0.8),
    ("ac", "inner", -0.7),
    ("ad", "inner", 0.1),
    ("abc", "inner", 0.3),
    dimensions={2: {"inner": {"a": (0, 1), "b": (0,)}}},
)
B = architecture(("ab", "inner", -0.2), ("ac", "outer", 0.6), ("bc", "inner", 0.5), ("bd", "outer", 0.4))


def test_tuples_of_both_and_of_one_side():
    second, third = compare_architectures(A, B).orders
    assert (second.both, second.only_a) == ((("a", "b"), ("a", "c")), (("a", "d"),))
    assert second.only_b == (("b", "c"), ("b", "d"))
    assert second.jaccard == 2 / 5
    assert (third.order, third.both, third.only_a, third.only_b) == (3, (), (("a", "b", "c"),), ())
    assert third.jaccard == 0.0


def test_pairs_of_tuple_and_function():
    second, third = compare_architectures(A, B).orders
    assert second.pairs_both == ((("a", "b"), "inner"),)
    assert second.pairs_only_a == ((("a", "b"), "outer"), (("a", "c"), "inner"), (("a", "d"), "inner"))
    assert second.pairs_only_b == ((("a", "c"), "outer"), (("b", "c"), "inner"), (("b", "d"), "outer"))
    assert second.pairs_jaccard == 1 / 7
    assert third.pairs_jaccard == 0.0


def test_the_rank_correlation_is_over_the_union():
    second, third = compare_architectures(A, B).orders
    # ab, ac, ad, bc, bd: the strongest function of each, 0 where the tuple is not kept.
    expected = stats.spearmanr([0.9, 0.7, 0.1, 0.0, 0.0], [0.2, 0.6, 0.0, 0.5, 0.4]).statistic
    assert second.rank_correlation == pytest.approx(expected)
    assert third.rank_correlation is None


def test_an_architecture_and_itself():
    (second, third) = compare_architectures(A, A).orders
    assert (second.jaccard, second.pairs_jaccard, second.rank_correlation) == (1.0, 1.0, pytest.approx(1.0))
    assert third.jaccard == 1.0
    assert all(size.change == 0 for size in compare_architectures(A, A).sizes)
    assert [section.title[:9] for section in compare_architectures(A, A).sections()] == ["Agreement"]


def test_changes_of_embedding_sizes():
    # A: (2, inner) a 2, b 1, c 4, d 4; (2, outer) a 4, b 4; (3, inner) a 4, b 4, c 4.
    # B: (2, inner) a 4, b 4, c 4; (2, outer) a 4, b 4, c 4, d 4.
    sizes = compare_architectures(A, B).sizes
    assert [(s.field, s.a, s.b, s.change) for s in sizes] == [
        ("a", 10, 8, -2),
        ("b", 9, 8, -1),
        ("c", 8, 8, 0),
        ("d", 4, 4, 0),
    ]


def test_fields_that_one_side_does_not_have():
    found = compare_architectures(A, architecture(("ab", "inner", 0.5), ("eb", "inner", 0.4), names="eab"))
    assert (found.fields_only_a, found.fields_only_b) == (("c", "d"), ("e",))
    assert [(s.field, s.a, s.b, s.change) for s in found.sizes if s.change is None] == [
        ("c", 8, None, None),
        ("d", 4, None, None),
        ("e", None, 4, None),
    ]
    assert found.orders[0].only_b == (("b", "e"),)
    text = found.to_markdown()
    assert "| only in A | c, d |" in text
    assert "| only in B | e |" in text
    assert "| e |  | 4 |  |" in text


def test_a_tuple_is_the_same_in_another_order_of_fields():
    turned = architecture(("ba", "inner", 0.9), names="dcba")
    (second, _) = compare_architectures(A, turned).orders
    assert second.both == (("a", "b"),)
    (alone,) = compare_architectures(turned, turned).orders
    assert alone.both == (("b", "a"),)


def test_nothing_in_common_is_refused():
    with pytest.raises(
        SettingsError, match=r"no field in common.* A has 'a', 'b', 'c', \.\.\., B has 'x', 'y'; name two"
    ):
        compare_architectures(A, architecture(names="xy"))


def test_two_without_interactions():
    found = compare_architectures(architecture(), architecture())
    assert found.orders == ()
    assert "| interactions | none in either |" in found.to_markdown()


def test_the_figures_as_json():
    content = json.loads(json.dumps(compare_architectures(A, B).to_dict()))
    second = content["orders"][0]
    assert (second["jaccard"], second["pairs_jaccard"]) == (0.4, 1 / 7)
    assert second["tuples"] == {
        "both": [["a", "b"], ["a", "c"]],
        "only_a": [["a", "d"]],
        "only_b": [["b", "c"], ["b", "d"]],
    }
    assert second["pairs"]["both"] == [{"fields": ["a", "b"], "function": "inner"}]
    assert content["orders"][1]["rank_correlation"] is None
    assert content["sizes"][0] == {"field": "a", "a": 10, "b": 8, "change": -2}


def test_the_text():
    text = compare_architectures(A, B).to_markdown()
    assert "| 2 | tuples | 2 | 1 | 2 | 0.400 |" in text
    assert "| 2 | pairs | 1 | 3 | 3 | 0.143 |  |" in text
    assert "| 3 | tuples | 0 | 1 | 0 | 0.000 | undefined |" in text
    assert "| 2 | A | a × d |\n| 2 | B | b × c |\n| 2 | B | b × d |\n| 3 | A | a × b × c |" in text
    assert "| a | 10 | 8 | -2 |" in text
    assert "| c | 8 | 8 |" not in text


def test_of_many_tuples_the_strongest_ten_are_listed():
    names = "abcdefgh"
    many = [(names[i] + names[j], "inner", 1.0 + i) for i in range(7) for j in range(i + 1, 8)]
    found = compare_architectures(architecture(*many, names=names), architecture(names=names))
    section = next(section for section in found.sections() if section.title == "Kept by one side only")
    assert section.rows[0] == ("2", "A", "g × h")
    assert section.rows[10] == ("2", "A", "and 18 weaker ones")
    assert len(section.rows) == 11
