"""Interaction functions against the table of the AIM paper, number by number in float64; one of a user's own."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from fieldwise.architecture import Architecture, Interaction, summarise_fields
from fieldwise.data.batch import Batch
from fieldwise.errors import SettingsError
from fieldwise.layers.interaction_functions import (
    InteractionFunction,
    function_names,
    register_function,
    require_function,
    temporary_functions,
)
from fieldwise.layout import FIRST_TOKEN, FieldLayout, Layout
from fieldwise.models import build, resolve
from fieldwise.models.aim import AIM

NAMES = ["inner", "vector_kernel", "scalar_kernel", "outer"]
ORDERS = [2, 3, 4]
FIELDS, DIM, ROWS = 5, 3, 4

each_name = pytest.mark.parametrize("name", NAMES)
each_order = pytest.mark.parametrize("order", ORDERS)


def make(name: str, order: int, *, dim: int = DIM) -> tuple[InteractionFunction, list[tuple[int, ...]], Tensor]:
    """A function over all tuples in float64 with its weights well away from their start; tuples twice over."""
    tuples = list(itertools.combinations(range(FIELDS), order))
    function = require_function(name)(len(tuples), order, dim).double()
    generator = torch.Generator().manual_seed(order)
    with torch.no_grad():
        for weight in function.parameters():
            weight.copy_(torch.randn(weight.shape, generator=generator))
    return function, tuples, torch.tensor(tuples).t()


def draw(*shape: int) -> Tensor:
    generator = torch.Generator().manual_seed(0)
    return torch.randn(*shape, generator=generator, dtype=torch.float64).requires_grad_()


def slow_features(name: str, function: InteractionFunction, x: Tensor, tuples: list[tuple[int, ...]]) -> Tensor:
    """[G, W, B] as section 3 of the paper has it, one number at a time."""
    weights = {key: weight.detach() for key, weight in function.named_parameters()}
    result = torch.zeros(len(tuples), 1 if name == "outer" else DIM, ROWS, dtype=torch.float64)
    for (g, fields), row in itertools.product(enumerate(tuples), range(ROWS)):
        if name == "outer":
            value = 1.0
            for place, field in enumerate(fields):
                value *= sum(float(weights["projections"][place, t] * x[field, t, row]) for t in range(DIM))
            result[g, 0, row] = value
            continue
        for t in range(DIM):
            h = 1.0
            for field in fields:
                h *= float(x[field, t, row])
            if name == "vector_kernel":
                h *= float(weights["kernel"][g, t])
            elif name == "scalar_kernel":
                h *= float(weights["kernel"][g])
            result[g, t, row] = h
    return result


@each_name
@each_order
def test_vectors_and_values_are_those_of_the_paper(name: str, order: int) -> None:
    function, tuples, fields = make(name, order)
    x = draw(FIELDS, DIM, ROWS)
    expected = slow_features(name, function, x.detach(), tuples)
    features = function.features(x, fields)
    assert features.shape == (len(tuples), function.width, ROWS)
    torch.testing.assert_close(features, expected)
    torch.testing.assert_close(function.values(x, fields), expected.sum(dim=1))


@each_name
@each_order
def test_the_quick_ways_equal_the_readable_one_with_their_gradients(name: str, order: int) -> None:
    function, _, fields = make(name, order)
    x = draw(FIELDS, DIM, ROWS)
    inputs = [x, *function.parameters()]

    def gradients(value: Tensor) -> tuple[Tensor, ...]:
        counts = torch.linspace(-1, 2, value.numel(), dtype=value.dtype).view_as(value)
        return torch.autograd.grad((value * counts).sum(), inputs, retain_graph=True)

    combined = function.combine(*(x[place] for place in fields))
    for quick, readable in (
        (function.features(x, fields), combined),
        (function.values(x, fields), combined.sum(dim=1)),
    ):
        torch.testing.assert_close(quick, readable)
        torch.testing.assert_close(gradients(quick), gradients(readable))


@each_name
@each_order
def test_no_rows(name: str, order: int) -> None:
    function, tuples, fields = make(name, order)
    x = draw(FIELDS, DIM, 0)
    assert function.values(x, fields).shape == (len(tuples), 0)
    assert function.features(x, fields).shape == (len(tuples), function.width, 0)


@each_order
def test_what_is_learned(order: int) -> None:
    def shapes(name: str) -> list[tuple[int, ...]]:
        return [tuple(weight.shape) for weight in require_function(name)(7, order, DIM).parameters()]

    assert shapes("inner") == []
    assert shapes("vector_kernel") == [(7, DIM)]
    assert shapes("scalar_kernel") == [(7,)]
    assert shapes("outer") == [(order, DIM)]  # shared by an order, whatever the number of tuples


@each_order
def test_projection_r_of_outer_is_for_the_rth_field(order: int) -> None:
    function, tuples, fields = make("outer", order, dim=4)
    x = draw(FIELDS, 4, ROWS)
    with torch.no_grad():
        function.get_parameter("projections").copy_(torch.eye(4)[:order])  # projection r picks number r
    expected = [torch.stack([x[field, r] for r, field in enumerate(fields)]).prod(dim=0) for fields in tuples]
    torch.testing.assert_close(function.values(x, fields), torch.stack(expected))


@each_name
def test_only_outer_tells_the_fields_of_a_pair_apart(name: str) -> None:
    function, _, (first, second) = make(name, 2)
    x = draw(FIELDS, DIM, ROWS)
    there, back = function.values(x, torch.stack([first, second])), function.values(x, torch.stack([second, first]))
    assert torch.allclose(there, back) == (name != "outer")


@each_name
@each_order
def test_every_function_starts_at_the_same_scale(name: str, order: int) -> None:
    torch.manual_seed(0)
    dim, variance, fields = 64, 0.09, torch.arange(order).unsqueeze(1)
    squares = []
    for _ in range(200):  # kernels and projections are drawn too
        function = require_function(name)(1, order, dim)
        x = torch.randn(order, dim, 256) * variance**0.5
        squares.append(float(function.values(x, fields).detach().square().mean()))
    assert sum(squares) / len(squares) == pytest.approx(dim * variance**order, rel=0.15)


def test_the_four_functions_come_first() -> None:
    assert function_names()[:4] == NAMES


@pytest.fixture
def matrix_kernel() -> Iterator[str]:
    """The module's example of a function of one's own, known while a test lasts."""

    class MatrixKernel(InteractionFunction):
        def __init__(self, count: int, order: int, dim: int) -> None:
            super().__init__(count, order, dim)
            self.matrix = nn.Parameter(torch.randn(count, dim, dim) / dim**0.5)

        def combine(self, *factors: Tensor) -> Tensor:
            return torch.bmm(self.matrix, factors[0]) * factors[1]

    with temporary_functions():
        register_function("matrix_kernel")(MatrixKernel)
        yield "matrix_kernel"


LAYOUT = Layout(tuple(FieldLayout(name, "categorical", 6) for name in ("user", "movie", "hour")))


def of_matrix_kernels(name: str) -> Architecture:
    pairs = [("user", "movie"), ("movie", "hour")]
    interactions = tuple(Interaction(fields=pair, function=name) for pair in pairs)
    return Architecture(embedding_dim=DIM, fields=summarise_fields(LAYOUT), interactions=interactions)


def test_a_function_of_ones_own_in_a_network(matrix_kernel: str) -> None:
    torch.manual_seed(0)
    ids = torch.randint(FIRST_TOKEN, 6, (64, 3))
    batch = Batch(ids, torch.zeros(64, 0), label=((ids[:, 0] + ids[:, 1]) % 2).float())
    document = of_matrix_kernels(matrix_kernel).to_json()
    # As from a file: through the text, the settings of a model and the registry.
    settings = {"architecture": Architecture.parse(document).model_dump(mode="json"), "dnn_hidden": [4]}
    model = build("aim", LAYOUT, resolve("aim", settings=settings))
    assert isinstance(model, AIM)
    (function,) = model.interactions.functions
    matrix = function.get_parameter("matrix")
    assert matrix.shape == (2, DIM, DIM)

    found = model.interactions.embed(batch)
    vectors = found.vectors[0].permute(2, 0, 1)  # [B, F, D]
    bilinear = [torch.einsum("bt,st,bs->b", vectors[:, i], matrix[g], vectors[:, i + 1]) for g, i in enumerate((0, 1))]
    # `values` goes by the fields in the layout's order.
    torch.testing.assert_close(model.interactions.values(found.vectors, 2), torch.stack(bilinear, dim=1))

    before, optimizer = matrix.detach().clone(), torch.optim.Adam(model.parameters(), lr=0.05)
    assert batch.label is not None
    for _ in range(60):
        optimizer.zero_grad()
        loss = F.binary_cross_entropy_with_logits(model(batch), batch.label)
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
    assert float(loss.detach()) < 0.1
    assert (matrix.detach() != before).all()


def test_a_function_that_is_not_there_is_refused_with_the_nearest_name() -> None:
    with pytest.raises(SettingsError, match="unknown interaction function 'iner'; did you mean 'inner'"):
        require_function("iner")
    with pytest.raises(SettingsError, match="unknown interaction function 'matrix_kernel'; did you mean"):
        AIM(LAYOUT, architecture=of_matrix_kernels("matrix_kernel"))


@pytest.mark.parametrize("name", ["inner", "shared"])
def test_a_name_that_is_taken_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match=f"the name '{name}' of an interaction function is taken"):
        register_function(name)(type("Another", (InteractionFunction,), {}))
