"""The stages of a search: their candidates, and what is left of what they find."""

from __future__ import annotations

from typing import Any

import pytest

from fieldwise.architecture import Architecture, FieldSummary, Interaction, summarise_fields
from fieldwise.errors import SettingsError
from fieldwise.layout import FieldLayout, Layout
from fieldwise.recipes.search.stages import (
    DimensionsStage,
    OrderStage,
    drop_empty,
    extended,
    stages_of,
    strongest_functions,
)
from fieldwise.settings import Settings, resolve_settings

LAYOUT = Layout(tuple(FieldLayout(f"field_{number}", "categorical", 9) for number in range(6)))
FUNCTIONS = ("inner", "vector_kernel", "scalar_kernel", "outer")


def settings_for(**overrides: Any) -> Settings:
    return resolve_settings(model="aim", overrides={f"search.{name}": value for name, value in overrides.items()})


def architecture_of(*interactions: Interaction) -> Architecture:
    return Architecture(embedding_dim=4, fields=summarise_fields(LAYOUT)).with_interactions(interactions)


def test_the_stages_of_a_search() -> None:
    stages = stages_of(settings_for(orders=(2, 3), max_interactions=7), LAYOUT)
    assert [stage.name for stage in stages] == ["order 2", "order 3", "dimensions"]
    assert [stage.file_name for stage in stages] == ["order-2", "order-3", "dimensions"]
    assert [stage.max_interactions for stage in stages] == [None, 7, None]
    assert [stage.rule.threshold for stage in stages] == [0.8, 0.8, 0.61]
    assert [stage.name for stage in stages_of(settings_for(embedding_sizes=False), LAYOUT)] == ["order 2"]
    with pytest.raises(SettingsError, match="unknown interaction function 'iner'; did you mean 'inner'"):
        stages_of(settings_for(functions=("iner",)), LAYOUT)


def test_nothing_is_searched_where_there_is_no_candidate() -> None:
    one = Layout(LAYOUT.fields[:1])
    for stage, word in (
        (OrderStage(2, one, settings_for()), "there is no candidate"),
        (DimensionsStage(one, settings_for()), "no embedding is needed"),
    ):
        candidates = stage.candidates(architecture_of())
        assert not candidates
        assert word in stage.announcement(candidates)


def test_a_field_whose_embedding_is_removed_takes_its_interactions_along():
    architecture = Architecture(
        embedding_dim=4,
        fields={name: FieldSummary(kind="categorical", size=5) for name in "abc"},
        interactions=[
            Interaction(fields=("a", "b"), function="inner"),
            Interaction(fields=("a", "b"), function="outer"),
            Interaction(fields=("b", "c"), function="inner"),
        ],
        dimensions={2: {"inner": {"a": (), "b": (1, 2)}}},
    )
    assert [str(i) for i in drop_empty(architecture).interactions] == ["outer(a, b)", "inner(b, c)"]


def test_pools_of_higher_orders():
    fields = ("a", "b", "c", "d")
    assert extended([("a", "b"), ("b", "c")], fields) == [("a", "b", "c"), ("a", "b", "d"), ("b", "c", "d")]
    # The sizes of SPEC's pools: k (n - p + 1) at most, fewer where extensions meet.
    names = tuple(f"f{i:02d}" for i in range(24))
    apart = [(names[2 * i], names[2 * i + 1]) for i in range(12)]
    assert len(extended(apart, names)) == 12 * 22 == 264
    assert len(extended([(names[i], "f22", "f23") for i in range(12)], names)) <= 252


def test_candidates_come_from_each_function_s_own_strongest() -> None:
    names = LAYOUT.names
    pairs = [
        Interaction(fields=names[:2], function="inner", gate=0.1),
        Interaction(fields=names[1:3], function="inner", gate=-0.5),
        Interaction(fields=names[4:6], function="outer", gate=0.2),
    ]
    stage = OrderStage(3, LAYOUT, settings_for(orders=(2, 3), max_tuples=0, top=1))
    candidates = stage.candidates(architecture_of(*pairs))
    by_function = {f: {i.fields for i in candidates if i.function == f} for f in FUNCTIONS}
    assert by_function["vector_kernel"] == by_function["scalar_kernel"] == set()
    assert all(set(names[1:3]) <= set(fields) for fields in by_function["inner"])
    assert all(set(names[4:6]) <= set(fields) for fields in by_function["outer"])
    few = OrderStage(3, LAYOUT, settings_for(orders=(2, 3), max_tuples=20))
    assert len(few.candidates(architecture_of())) == 4 * 20  # all of them, for they are few


def test_the_strongest_functions_of_a_tuple():
    kept = [
        Interaction(fields=("a", "b"), function="inner", gate=0.1),
        Interaction(fields=("a", "b"), function="outer", gate=-0.5),
        Interaction(fields=("a", "c"), function="inner", gate=0.3),
        Interaction(fields=("a", "b"), function="scalar_kernel", gate=0.2),
    ]
    assert [i.gate for i in strongest_functions(kept, 1)] == [-0.5, 0.3]
    assert [i.gate for i in strongest_functions(kept, 2)] == [-0.5, 0.2, 0.3]
    assert sorted(i.gate for i in strongest_functions(kept, None)) == [-0.5, 0.1, 0.2, 0.3]


def test_gates_of_dimensions_may_have_a_rate_of_their_own() -> None:
    same = settings_for(gate_learning_rate=0.2)
    own = settings_for(gate_learning_rate=0.2, dimension_gate_learning_rate=1.0)
    assert DimensionsStage(LAYOUT, same).rule.learning_rate == 0.2
    assert DimensionsStage(LAYOUT, own).rule.learning_rate == 1.0
    assert OrderStage(2, LAYOUT, own).rule.learning_rate == 0.2
