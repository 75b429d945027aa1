"""Trimming by number and by latency, and the measuring of latency with a model made for it."""

import math
from typing import Any, ClassVar

import pytest
import torch
from torch import Tensor

from fieldwise.architecture import Architecture, FieldSummary, Interaction
from fieldwise.data.batch import PADDING, Batch
from fieldwise.errors import SettingsError
from fieldwise.layout import Layout
from fieldwise.models import CTRModel, register, registry
from fieldwise.recipes.search.trimming import measure_latency, normalise, trim

FIELDS = {
    "user": FieldSummary(kind="categorical", size=10),
    "movie": FieldSummary(kind="categorical", size=20),
    "tags": FieldSummary(kind="multi_valued", size=5),
    "price": FieldSummary(kind="numeric", size=2),
}
INTERACTIONS = (
    Interaction(fields=("user", "movie"), function="outer", gate=0.5),
    Interaction(fields=("user", "tags"), function="inner", gate=-0.9),
    Interaction(fields=("movie", "tags"), function="inner", gate=0.5),
    Interaction(fields=("user", "movie", "price"), function="inner", gate=0.1),
)
DIMENSIONS = {
    2: {"inner": {"user": (0,), "movie": (1,), "price": (0,)}, "outer": {"user": (0, 1)}, "unused": {"user": (0,)}},
    3: {"inner": {"price": ()}},
    4: {"inner": {"user": (1,)}},
}


def example(**changes) -> Architecture:
    return Architecture.model_validate(
        {"embedding_dim": 4, "fields": FIELDS, "interactions": INTERACTIONS, "dimensions": DIMENSIONS, **changes}
    )


class Measured(CTRModel):
    """Keeps what it was built with, and every batch that it was shown."""

    built: ClassVar[list[dict[str, Any]]] = []
    batches: ClassVar[list[Batch]] = []

    def __init__(self, layout: Layout, *, architecture: Any = None, width: int = 3) -> None:
        super().__init__(layout)
        self.bias = torch.nn.Parameter(torch.randn(1))
        self.built.append({"architecture": Architecture.model_validate(architecture), "width": width})

    def forward(self, batch: Batch) -> Tensor:
        assert not self.training
        assert torch.is_inference_mode_enabled()
        self.batches.append(batch)
        return self.bias.expand(len(batch))


@pytest.fixture
def measured(monkeypatch):
    """The model `measured`, registered for one test; it has seen nothing yet."""
    monkeypatch.setattr(Measured, "built", [])
    monkeypatch.setattr(Measured, "batches", [])
    with registry.temporary():
        register("measured", summary="keeps what it sees")(Measured)
        yield Measured


def test_the_strongest_are_kept_and_of_equals_the_first():
    assert [str(i) for i in trim(example(), max_interactions=2).interactions] == [
        "inner(user, tags)",
        "outer(user, movie)",
    ]
    assert len(trim(example(), max_interactions=3).interactions) == 3
    assert trim(example(), max_interactions=0).interactions == ()


def test_more_than_there_are_leaves_all_of_them():
    for number in (4, 1000):
        trimmed = trim(example(), max_interactions=number)
        assert set(trimmed.interactions) == set(INTERACTIONS)
        assert [abs(i.gate) for i in trimmed.interactions] == [0.9, 0.5, 0.5, 0.1]


def test_positions_that_nothing_reads_are_dropped():
    assert normalise(example()).dimensions == {
        2: {"inner": {"user": (0,), "movie": (1,)}, "outer": {"user": (0, 1)}},
        3: {"inner": {"price": ()}},
    }
    assert trim(example(), max_interactions=1).dimensions == {2: {"inner": {"user": (0,)}}}
    assert trim(example(), max_interactions=0).dimensions is None
    assert normalise(example(dimensions=None)).dimensions is None
    shared = example(shared_embedding=True, dimensions={2: {"shared": {"user": (1,), "price": (1,)}, "inner": {}}})
    assert normalise(shared).dimensions == {2: {"shared": {"user": (1,)}}}


def test_what_is_read_keeps_its_positions():
    whole, trimmed = example(), normalise(example())
    for interaction in whole.interactions:
        for field in interaction.fields:
            place = (interaction.order, interaction.function, field)
            assert trimmed.kept_dimensions(*place) == whole.kept_dimensions(*place)


def test_everything_else_stays():
    architecture = example(settings={"c": 1}, model="measured")
    trimmed = trim(architecture, max_interactions=1)
    assert trimmed == architecture.model_copy(
        update={"interactions": trimmed.interactions, "dimensions": trimmed.dimensions}
    )


def many(number: int) -> Architecture:
    """So many interactions; the first has the largest gate."""
    names = [f"f{i}" for i in range(number + 1)]
    return Architecture(
        embedding_dim=2,
        fields={name: FieldSummary(kind="categorical", size=3) for name in names},
        interactions=tuple(
            Interaction(fields=(names[0], names[i + 1]), function="inner", gate=1.0 / (i + 1)) for i in range(number)
        ),
    )


@pytest.mark.parametrize("kept", [0, 1, 2, 49, 50, 51, 98, 99, 100])
def test_bisection_finds_the_largest_number_that_is_quick_enough(kept):
    asked = []

    def latency(architecture: Architecture) -> float:
        asked.append(len(architecture.interactions))
        return 0.001 + 0.002 * len(architecture.interactions)

    trimmed = trim(many(100), max_seconds=0.001 + 0.002 * kept + 0.0001, latency=latency)
    assert len(trimmed.interactions) == kept
    assert kept in asked
    assert len(asked) <= 2 + math.ceil(math.log2(100))
    assert trimmed.interactions == many(100).interactions[:kept]


def test_an_architecture_that_is_too_slow_without_any_interaction():
    with pytest.raises(SettingsError, match=r"without any interaction .* takes 0\.5 seconds.* 0\.01 allowed"):
        trim(example(), max_seconds=0.01, latency=lambda architecture: 0.5 + len(architecture.interactions))


@pytest.mark.parametrize(
    ("limits", "message"),
    [
        ({}, "either max_interactions or max_seconds, but neither is given"),
        ({"max_interactions": 1, "max_seconds": 1.0}, "but both are given"),
        ({"max_interactions": -1}, "max_interactions: expected how many to keep, 0 or more; got -1"),
        ({"max_interactions": 1, "latency": lambda a: 0.0}, "latency is measured against max_seconds"),
        ({"max_seconds": 0.0}, "max_seconds: expected a time above 0"),
        ({"max_seconds": -1.0}, "above 0 seconds, got -1.0"),
        ({"max_seconds": math.nan}, "got nan"),
        ({"max_seconds": math.inf}, "got inf"),
    ],
)
def test_wrong_limits(limits, message):
    with pytest.raises(SettingsError, match=message):
        trim(example(), **limits)


def test_measuring_builds_the_model_of_the_architecture(measured):
    architecture = example(model="measured")
    seconds = measure_latency(architecture, rows=50, repeats=4, model_settings={"width": 7})
    assert 0 < seconds < 1
    assert measured.built == [{"architecture": architecture, "width": 7}]
    assert len(measured.batches) == 5
    assert {len(batch) for batch in measured.batches} == {50}


def test_by_default_the_latency_is_measured(measured):
    assert len(trim(example(model="measured"), max_seconds=10.0).interactions) == 4
    assert len(measured.built) == 1
    assert len(measured.batches[0]) == 256


def test_the_made_up_rows_are_rows_of_the_layout(measured):
    measure_latency(example(model="measured"), rows=500, repeats=1)
    batch = measured.batches[0]
    assert batch.categorical.shape == (500, 2)
    assert batch.categorical.dtype == torch.int64
    assert [sorted(set(column.tolist())) for column in batch.categorical.T] == [[*range(10)], [*range(20)]]
    assert batch.numeric.shape == (500, 1)
    assert batch.numeric.isfinite().all()
    (tags,) = batch.multi_valued
    assert set(tags.unique().tolist()) == {PADDING, 1, 2, 3, 4}
    assert set((tags != PADDING).sum(dim=1).tolist()) == {1, 2, 3}
    assert (tags[:, 0] != PADDING).all()


def test_layouts_of_one_kind_and_the_smallest_field(measured):
    for kind, shape in (("numeric", (3, 0)), ("multi_valued", (3, 0)), ("categorical", (3, 1))):
        fields = {"only": FieldSummary(kind=kind, size=1)}
        measure_latency(Architecture(model="measured", embedding_dim=2, fields=fields), rows=3, repeats=1)
        batch = measured.batches[-1]
        assert batch.categorical.shape == shape
        assert len(batch) == 3
        assert all(ids.max() <= 0 for ids in batch.multi_valued)


def test_measuring_leaves_the_random_numbers_alone(measured):
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    measure_latency(example(model="measured"), rows=2, repeats=1)
    assert torch.equal(torch.rand(3), expected)


@pytest.mark.parametrize(
    ("changes", "options", "message"),
    [
        ({"model": "measured"}, {"rows": 0}, "rows: expected at least 1, got 0"),
        ({"model": "measured"}, {"repeats": 0}, "repeats: expected at least 1, got 0"),
        ({"model": "measured"}, {"model_settings": {"widht": 1}}, "did you mean 'width'"),
        ({"model": "meassured"}, {}, "unknown model 'meassured'; did you mean 'measured'"),
        ({"model": "lr"}, {}, "model 'lr' has no setting 'architecture'"),
    ],
)
def test_what_cannot_be_measured(measured, changes, options, message):
    with pytest.raises(SettingsError, match=message):
        measure_latency(example(**changes), **options)
