"""The fused interacting layer: as exact as torch's bfloat16 products, and the same bits every time."""

from __future__ import annotations

import copy
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from fieldwise.layers.interacting import InteractingLayer
from fieldwise.native import interacting as native
from fieldwise.native.switch import fused_kernels

pytestmark = pytest.mark.skipif(native.why_not() == "this CPU has no AVX512-BF16", reason="this CPU has no AVX512-BF16")

PAPER: dict[str, Any] = {
    "scale": False,
    "qkv_bias": False,
    "qkv_activation": None,
    "residual_activation": None,
    "layer_norm": False,
}
FORMS: list[dict[str, Any]] = [
    PAPER,
    {},
    {"layer_norm": False},
    {"residual": False},
    {"residual_projection": False},
    {"residual_projection": False, "residual_activation": None},
    PAPER | {"residual_activation": "relu"},
    PAPER | {"qkv_activation": "relu", "layer_norm": True},
    {"num_heads": 1},
    {"num_heads": 4},
]
SHAPES = [  # rows, fields, in_dim, width
    (33, 39, 32, 32),
    (40, 40, 16, 64),
    (100, 6, 16, 64),
    (1, 1, 5, 8),
    (15, 2, 1, 16),
    (16, 3, 33, 24),
    (17, 16, 64, 64),
    (64, 7, 16, 40),
]


def layer_of(in_dim: int, width: int, *, seed: int = 0, **form: Any) -> InteractingLayer:
    torch.manual_seed(seed)
    settings = {"num_heads": 2, **form}
    if not settings.get("residual_projection", True):
        in_dim = width
    layer = InteractingLayer(in_dim, attention_dim=width, **settings)
    with torch.no_grad():
        for parameter in layer.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    return layer


def run(layer: InteractingLayer, x: Tensor, *, fused: bool = True) -> Tensor:
    with fused_kernels(fused), torch.autocast("cpu", torch.bfloat16):
        output: Tensor = layer(x)
    return output


def gradients(layer: InteractingLayer, x: Tensor, output: Tensor, weights: Tensor) -> list[Tensor]:
    return list(torch.autograd.grad((output.to(weights.dtype) * weights).sum(), [x, *layer.parameters()]))


def outcome(layer: InteractingLayer, x: Tensor, *, fused: bool = True) -> list[Tensor]:
    """Output and all gradients, for a fixed gradient of the output."""
    output = run(layer, x, fused=fused)
    weights = torch.linspace(-1, 1, output.numel()).view_as(output)
    return [output.detach(), *gradients(layer, x, output, weights)]


def exact(layer: InteractingLayer, x: Tensor) -> list[Tensor]:
    """The same by the readable form in float64."""
    layer = copy.deepcopy(layer).double()
    x = x.detach().double().requires_grad_()
    output = layer(x)
    weights = torch.linspace(-1, 1, output.numel()).view_as(output).double()
    return [output.detach(), *gradients(layer, x, output, weights)]


def distance(got: Tensor, expected: Tensor) -> float:
    """Root mean square of the difference, as a share of that of what is expected."""
    return float((got.detach().double() - expected).norm() / expected.norm().clamp_min(1e-9))


def most(got: Tensor, expected: Tensor) -> float:
    """The difference that nine in ten numbers keep within, as a share of the root mean square of what is expected."""
    difference = (got.detach().double() - expected).abs()
    return float(difference.flatten().quantile(0.9) / expected.square().mean().sqrt().clamp_min(1e-9))


@pytest.mark.parametrize("form", FORMS, ids=str)
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_output_and_gradients_are_those_of_the_equations(form: dict[str, Any], shape: tuple[int, ...]) -> None:
    rows, fields, in_dim, width = shape
    layer = layer_of(in_dim, width, **form)
    x = (0.5 * torch.randn(rows, fields, layer.in_dim)).requires_grad_()
    assert layer.has_fused_form
    expected = exact(layer, x)
    got, rounded = outcome(layer, x), outcome(layer, x, fused=False)
    assert got[0].dtype == torch.bfloat16
    assert type(run(layer, x).grad_fn).__name__ == "FusedInteractionBackward"
    for number, (ours, theirs, true) in enumerate(zip(got, rounded, expected, strict=True)):
        assert ours.shape == true.shape
        if true.numel() > 5000:
            assert distance(ours, true) <= 1.2 * max(distance(theirs, true), 0.004), number
        else:
            # Where numbers are few, a ReLU that rounding happens to switch outweighs all else, but spoils few of them.
            assert most(ours, true) <= 3 * max(most(theirs, true), 0.004), number


def test_errors_are_no_larger_than_those_of_torch_on_the_whole() -> None:
    ours = theirs = 0.0
    for seed in range(5):
        layer = layer_of(32, 32, seed=seed, **PAPER)
        x = torch.randn(64, 39, 32, requires_grad=True)
        expected = exact(layer, x)
        ours += sum(map(distance, outcome(layer, x), expected))
        theirs += sum(map(distance, outcome(layer, x, fused=False), expected))
    assert ours <= 1.05 * theirs


@pytest.mark.parametrize("fields", [6, 39])
def test_equal_bits_whenever_and_in_however_many_threads(fields: int) -> None:
    layer = layer_of(16, 32, dropout=0.3)
    x = torch.randn(300, fields, 16, requires_grad=True)
    before = torch.get_num_threads()
    results = []
    try:
        for threads in (1, 1, 2, 3, 7):
            torch.set_num_threads(threads)
            torch.manual_seed(5)
            results.append(outcome(layer, x))
    finally:
        torch.set_num_threads(before)
    for other in results[1:]:
        assert all(map(torch.equal, results[0], other))


def test_bfloat16_inputs_and_views_are_read_as_they_are() -> None:
    layer = layer_of(16, 32)
    x = torch.randn(20, 16, 5).bfloat16().transpose(1, 2).requires_grad_()
    assert not x.is_contiguous()
    got, other = outcome(layer, x), outcome(layer, x.detach().float().requires_grad_())
    assert got[1].dtype == torch.bfloat16
    assert torch.equal(got[0], other[0])
    assert torch.equal(got[1], other[1].bfloat16())


def test_no_rows() -> None:
    layer = layer_of(4, 8)
    x = torch.zeros(0, 5, 4, requires_grad=True)
    output, to_x, *others = outcome(layer, x)
    assert output.shape == (0, 5, 8)
    assert to_x.shape == x.shape
    assert all(not other.any() for other in others)


def test_large_logits_do_not_overflow() -> None:
    layer = layer_of(16, 16, **PAPER)
    with torch.no_grad():
        layer.projection.weight.mul_(100)
    for factor in (1.0, -1.0):
        x = (factor * torch.rand(20, 9, 16)).requires_grad_()
        assert all(one.isfinite().all() for one in outcome(layer, x))
    x = torch.ones(4, 6, 16, requires_grad=True)  # equal logits, all far below zero
    with torch.no_grad():
        size = layer.attention_dim
        layer.projection.weight[size : 2 * size] = -layer.projection.weight[:size]
    torch.testing.assert_close(run(layer, x).float(), exact(layer, x)[0].float(), rtol=0.02, atol=0.5)


@pytest.mark.parametrize("form", [PAPER, {}], ids=["paper", "default"])
def test_a_nan_is_not_lost_and_stays_with_its_row(form: dict[str, Any]) -> None:
    layer = layer_of(16, 16, **form)
    x = torch.randn(20, 5, 16)
    x[7, 2, 3] = torch.nan
    x.requires_grad_()
    output, to_x, to_weight, *_ = outcome(layer, x)
    others = torch.arange(20) != 7
    assert output[7].isnan().any()
    assert output[others].isfinite().all()
    assert to_x[others].isfinite().all()
    assert to_weight.isnan().any()


def test_dropout_drops_its_share_and_keeps_the_sum() -> None:
    """With equal logits and values of one, an output is the sum of the kept shares."""
    fields, rows, share = 10, 4000, 0.4
    layer = InteractingLayer(2, attention_dim=4, num_heads=2, dropout=share, **{**PAPER, "residual": False})
    with torch.no_grad():
        layer.projection.weight.zero_()
        layer.projection.weight[8:] = 0.5
    x = torch.ones(rows, fields, 2)
    output = run(layer, x).detach().float()
    kept = output * fields * (1 - share)  # how many
    torch.testing.assert_close(kept, kept.round(), rtol=0, atol=0.05)
    assert torch.equal(output[..., 0], output[..., 1])  # a head's numbers share their weights
    assert not torch.equal(output[..., 0], output[..., 2])
    kept = kept[..., ::2].round()
    count = kept.numel() * fields
    assert abs(float(kept.mean()) / fields - (1 - share)) < 5 * (share * (1 - share) / count) ** 0.5
    # As many as independent draws would keep, over keys as well as over queries, heads and rows.
    assert float(kept.var()) == pytest.approx(fields * share * (1 - share), rel=0.03)
    for dim in (0, 1, 2):
        other = kept.roll(1, dim)
        assert abs(float(torch.corrcoef(torch.stack([kept.flatten(), other.flatten()]))[0, 1])) < 0.03
    assert not torch.equal(run(layer, x), run(layer, x))
    layer.eval()
    torch.testing.assert_close(run(layer, x).float(), torch.ones(rows, fields, 4))


def test_the_backward_pass_drops_what_the_forward_pass_dropped() -> None:
    """With zero queries the output is linear in the values, so their gradient can be told from outputs alone."""
    layer = InteractingLayer(4, attention_dim=4, num_heads=1, dropout=0.5, **{**PAPER, "residual": False})
    with torch.no_grad():
        layer.projection.weight.copy_(torch.cat([torch.zeros(4, 4), torch.eye(4), torch.eye(4)]))
    x = torch.ones(3, 6, 4, requires_grad=True)
    torch.manual_seed(2)
    (got,) = torch.autograd.grad(run(layer, x).sum(), x)
    expected = torch.zeros(3, 6)
    for field in range(6):
        only = torch.zeros(3, 6, 4)
        only[:, field] = 1.0
        torch.manual_seed(2)
        expected[:, field] = run(layer, only).float().sum(dim=(1, 2)) / 4
    assert len(expected.unique()) > 2
    torch.testing.assert_close(got, expected.unsqueeze(-1).expand_as(got), rtol=0.01, atol=0.0)


def test_gradients_with_dropout_are_those_of_the_drawn_mask() -> None:
    """The mask is read off the kernel with one-hot values, then put into the equations."""
    fields, size, share = 6, 8, 0.3
    layer = InteractingLayer(size, attention_dim=size, num_heads=1, dropout=share, **{**PAPER, "residual": False})
    x = torch.randn(5, fields, size)
    probe = copy.deepcopy(layer)
    with torch.no_grad():
        probe.projection.weight.copy_(torch.cat([torch.zeros(2 * size, size), torch.eye(size)]))
    torch.manual_seed(4)
    hot = torch.eye(size)[:fields].expand(5, fields, size)
    kept = (run(probe, hot)[..., :fields] > 0).double()  # [row, query, key]
    assert 0 < kept.mean() < 1
    torch.manual_seed(4)
    x.requires_grad_()
    output = run(layer, x)
    weights = torch.randn(output.shape).double()
    got = [output, *torch.autograd.grad((output * weights).sum(), [x, layer.projection.weight])]
    true_x = x.detach().double().requires_grad_()
    matrix = layer.projection.weight.detach().double().requires_grad_()
    query, key, value = (true_x @ matrix.T).split(size, dim=-1)
    expected = ((torch.softmax(query @ key.transpose(1, 2), -1) * kept / (1 - share)) @ value).relu()
    true = [expected, *torch.autograd.grad((expected * weights).sum(), [true_x, matrix])]
    for one, other in zip(got, true, strict=True):
        assert distance(one, other.detach()) < 0.05


@pytest.mark.parametrize("form", [{"output_projection": True}, {"num_heads": 16}], ids=str)
def test_forms_that_the_kernel_lacks_are_left_to_torch(form: dict[str, Any]) -> None:
    layer = layer_of(16, 16, **form)
    assert not layer.has_fused_form
    x = torch.randn(3, 5, 16)
    assert torch.equal(run(layer, x), run(layer, x, fused=False))


def test_only_bfloat16_within_the_block_is_fused() -> None:
    layer = layer_of(16, 16)
    x = torch.randn(3, 5, 16)

    def kind(output: Tensor) -> bool:
        return type(output.grad_fn).__name__ == "FusedInteractionBackward"

    assert kind(run(layer, x))
    assert not kind(run(layer, x, fused=False))
    with fused_kernels(True):
        assert not kind(layer(x))
        with torch.autocast("cpu", torch.float16):
            assert not kind(layer(x))
        with torch.autocast("cpu", torch.bfloat16):
            assert not kind(layer(x.double().to(torch.float16)))
    with torch.autocast("cpu", torch.bfloat16):
        assert not kind(layer(x))


def test_threads_of_its_own_where_there_is_no_openmp(monkeypatch: pytest.MonkeyPatch) -> None:
    layer = layer_of(16, 16)
    x = torch.randn(100, 5, 16, requires_grad=True)
    expected = outcome(layer, x)
    monkeypatch.setattr(native, "torch_threads", lambda: None)
    assert all(map(torch.equal, outcome(layer, x), expected))


def test_two_processes_may_build_it_at_once(tmp_path: Path) -> None:
    environment = {**os.environ, "XDG_CACHE_HOME": str(tmp_path)}
    code = "from fieldwise.native import interacting; print(interacting.why_not())"
    both = [
        subprocess.Popen([sys.executable, "-c", code], env=environment, stdout=subprocess.PIPE, text=True)
        for _ in range(2)
    ]
    assert [process.communicate()[0].strip() for process in both] == ["None", "None"]
    assert len(list((tmp_path / "fieldwise" / "kernels").iterdir())) == 1
