"""The summary of an architecture, against figures worked out by hand."""

import json

import pytest

from fieldwise.architecture import Architecture, DataSummary, FieldSummary, Interaction
from fieldwise.errors import SettingsError
from fieldwise.explain.summary import KeptTuple, embeddings_in_use, summarise

FIELDS = {
    "user": FieldSummary(kind="categorical", size=10),
    "movie": FieldSummary(kind="categorical", size=20),
    "hour": FieldSummary(kind="multi_valued", size=5),
    "price": FieldSummary(kind="numeric", size=2),
}
INTERACTIONS = (
    Interaction(fields=("user", "movie"), function="outer", gate=0.5),
    Interaction(fields=("user", "hour"), function="outer", gate=0.4),
    Interaction(fields=("user", "movie"), function="inner", gate=-0.9),
    Interaction(fields=("user", "movie", "hour"), function="inner", gate=0.2),
)
DIMENSIONS = {
    2: {"inner": {"user": (0, 3), "movie": (1,)}, "outer": {"user": (0,), "price": (0,)}, "unused": {"user": (0,)}},
    3: {"inner": {"hour": ()}},
}


def example(**changes) -> Architecture:
    return Architecture.model_validate(
        {"embedding_dim": 4, "fields": FIELDS, "interactions": INTERACTIONS, "dimensions": DIMENSIONS, **changes}
    )


def test_interactions_are_counted_by_order_and_function():
    second, third = summarise(example()).orders
    assert (second.order, second.tuples, second.pairs) == (2, 2, 3)
    assert second.by_function == {"outer": 2, "inner": 1}
    assert (third.order, third.tuples, third.pairs) == (3, 1, 1)
    assert third.by_function == {"outer": 0, "inner": 1}
    assert summarise(example()).interactions == 4


def test_the_ratio_of_interactions_in_both_conventions():
    # Four fields: 6 pairs and 4 triples. Two functions are in use.
    second, third = summarise(example()).orders
    assert (second.all_tuples, second.all_pairs) == (6, 12)
    assert (second.tuple_ratio, second.pair_ratio) == (2 / 6, 3 / 12)
    assert (third.all_tuples, third.all_pairs) == (4, 8)
    assert (third.tuple_ratio, third.pair_ratio) == (1 / 4, 1 / 8)


def test_functions_that_were_searched_and_never_chosen_count_too():
    four = ["inner", "outer", "vector_kernel", "scalar_kernel"]
    recorded = summarise(example(settings={"functions": four}))
    assert recorded.functions == tuple(four)
    assert recorded.all_searched
    assert recorded.orders[0].pair_ratio == 3 / 24
    assert recorded.orders[0].by_function == {"inner": 1, "outer": 2, "vector_kernel": 0, "scalar_kernel": 0}
    given = summarise(example(), functions=["inner", "vector_kernel"])
    assert given.functions == ("inner", "vector_kernel", "outer")
    assert given.orders[0].pair_ratio == 3 / 18


@pytest.mark.parametrize("record", ["inner", [1, 2], None, {"inner": True}])
def test_a_record_that_names_no_functions_is_not_used(record):
    summary = summarise(example(settings={"functions": record}))
    assert summary.functions == ("outer", "inner")
    assert not summary.all_searched


def test_the_denominators_of_the_paper():
    for fields, counts in ((24, (276, 2_024, 10_626)), (39, (741, 9_139, 82_251))):
        names = [f"f{i}" for i in range(fields)]
        interactions = [Interaction(fields=tuple(names[:p]), function="inner") for p in (2, 3, 4)]
        summary = summarise(
            Architecture(
                embedding_dim=2,
                fields={name: FieldSummary(kind="categorical", size=3) for name in names},
                interactions=tuple(interactions),
            )
        )
        assert tuple(order.all_tuples for order in summary.orders) == counts


def test_the_strongest_tuples_come_first_with_all_their_gates():
    second, third = summarise(example()).orders
    assert second.strongest == (
        KeptTuple(("user", "movie"), {"inner": -0.9, "outer": 0.5}),
        KeptTuple(("user", "hour"), {"outer": 0.4}),
    )
    assert list(second.strongest[0].gates) == ["inner", "outer"]
    assert second.strongest[0].strength == 0.9
    assert len(third.strongest) == 1
    assert [len(order.strongest) for order in summarise(example(), strongest=1).orders] == [1, 1]
    assert summarise(example(), strongest=0).orders[0].strongest == ()
    with pytest.raises(SettingsError, match="0 or more; got -1"):
        summarise(example(), strongest=-1)


def test_an_embedding_is_in_use_where_an_interaction_reads_it():
    assert embeddings_in_use(example()) == {
        (2, "outer"): {"user", "movie", "hour"},
        (2, "inner"): {"user", "movie"},
        (3, "inner"): {"user", "movie", "hour"},
    }
    assert list(embeddings_in_use(example())) == [(2, "outer"), (2, "inner"), (3, "inner")]


def test_embedding_sizes_are_summed_over_the_embeddings_in_use():
    summary = summarise(example())
    assert {(e.order, e.function): e.dimensions for e in summary.embeddings} == {
        (2, "outer"): {"user": 1, "movie": 4, "hour": 4, "price": 0},
        (2, "inner"): {"user": 2, "movie": 1, "hour": 0, "price": 0},
        (3, "inner"): {"user": 4, "movie": 4, "hour": 0, "price": 0},
    }
    assert [(field.name, field.size, field.full) for field in summary.fields] == [
        ("user", 7, 12),
        ("movie", 9, 12),
        ("hour", 4, 12),
        ("price", 0, 12),
    ]


def test_parameters_and_what_is_saved():
    summary = summarise(example())
    assert [field.parameters for field in summary.fields] == [70, 180, 20, 0]
    assert summary.parameters == 270
    assert summary.full_parameters == 12 * (10 + 20 + 5 + 2)
    assert summary.saved == pytest.approx(174 / 444)
    untouched = summarise(example(dimensions=None))
    # Nothing is removed, but a field that nothing reads needs no dimensions: user and movie 12 each, hour 8, price 0.
    assert (untouched.parameters, untouched.full_parameters) == (12 * 30 + 8 * 5, 444)


def test_a_shared_embedding_counts_once_per_order():
    summary = summarise(example(shared_embedding=True, dimensions={2: {"shared": {"user": (1, 2)}}}))
    assert [(e.order, e.function) for e in summary.embeddings] == [(2, "shared"), (3, "shared")]
    assert [(field.size, field.full) for field in summary.fields] == [(6, 8), (8, 8), (8, 8), (0, 8)]


def test_an_architecture_without_interactions():
    summary = summarise(example(interactions=()))
    assert (summary.orders, summary.embeddings, summary.interactions) == ((), (), 0)
    assert (summary.parameters, summary.full_parameters, summary.saved) == (0, 0, 0.0)
    text = summary.to_markdown()
    assert "| interactions | none: only first-order effects are left |" in text
    assert "| embedding parameters | none |" in text
    assert "| functions in use | none |" in text
    assert "Kept interactions" not in text


def test_the_figures_as_json():
    content = json.loads(json.dumps(summarise(example()).to_dict()))
    assert (content["model"], content["interactions"], content["saved"]) == ("aim", 4, pytest.approx(174 / 444))
    assert content["orders"][0] == {
        "order": 2,
        "tuples": 2,
        "pairs": 3,
        "by_function": {"outer": 2, "inner": 1},
        "all_tuples": 6,
        "all_pairs": 12,
        "tuple_ratio": 2 / 6,
        "pair_ratio": 3 / 12,
        "strongest": [
            {"fields": ["user", "movie"], "gates": {"inner": -0.9, "outer": 0.5}},
            {"fields": ["user", "hour"], "gates": {"outer": 0.4}},
        ],
    }
    assert content["embeddings"][1]["dimensions"]["user"] == 2
    assert content["fields"][1] == {
        "name": "movie",
        "kind": "categorical",
        "rows": 20,
        "size": 9,
        "full": 12,
        "parameters": 180,
        "full_parameters": 240,
    }


def test_the_text():
    data = DataSummary(source="clicks.csv", rows=1000, base_rate=0.25)
    summary = summarise(example(data=data, settings={"functions": ["inner", "outer"]}), strongest=1)
    text = summary.to_markdown()
    for line in (
        "| in | clicks.csv, 1,000 rows, base rate 0.2500 |",
        "| functions searched | inner, outer |",
        "| embedding size D | 4 per field and order and function |",
        "| embedding parameters | 270 of 444, 39.2% saved |",
        "| 2 | inner | 1 | 6 | 16.67% |",
        "| 2 | tuples with any function | 2 | 6 | 33.33% |",
        "| 2 | (tuple, function) pairs | 3 | 12 | 25.00% |",
        "**Strongest of order 2 (1 of 2)**",
        "| user × movie | inner -0.9, outer 0.5 |",
        "**Strongest of order 3**",
        "**Embedding sizes over 3 embeddings**",
        "| movie | categorical | 20 | 9 | 12 | 180 |",
    ):
        assert line in text
    shared = summarise(example(shared_embedding=True)).to_markdown()
    assert "| in | unknown data |" in shared
    assert "4 per field and order |" in shared


def test_the_tables_fit_a_narrow_terminal():
    for section in summarise(example()).sections():
        cells = [section.header, *section.rows]
        widths = [max(len(row[column]) for row in cells) for column in range(len(section.header))]
        # Nor are the titles, which are folded at the width of their table.
        assert len(section.title) <= sum(widths) + 3 * len(widths) <= 80, section.title
