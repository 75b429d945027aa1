"""The fused interacting layer of `interacting.cpp` as a differentiable function: bfloat16 products on the CPU.

`fieldwise.layers.interacting.InteractingLayer` holds the readable form of the same; tests assert that both agree.
"""

from __future__ import annotations

import ctypes
import functools
import platform
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from fieldwise.native.build import library_or_reason
from fieldwise.native.threads import torch_threads

FLAGS = ("-mavx512f", "-mavx512bw", "-mavx512vl", "-mavx512dq", "-mavx512bf16", "-mfma")
MOST_FIELDS = 512
"""Beyond that, a block of sixteen rows is too large for a cache."""

_RESIDUAL = {None: 0, "projected": 1, "identity": 2}


@dataclass(frozen=True)
class Options:
    """Which form of the layer: see `InteractingLayer`, whose `forward` fills this in.

    Attributes:
        num_heads: H.
        residual: `projected` by a fourth block of the weight, `identity`, or None.
        relu_heads: Whether Q, K and V have a ReLU.
        relu_residual: Whether the residual has one.
        dropout: Share of the attention weights that is dropped.
        epsilon: LayerNorm's.
    """

    num_heads: int
    residual: Literal["projected", "identity"] | None
    relu_heads: bool
    relu_residual: bool
    dropout: float
    epsilon: float


class _Layer(ctypes.Structure):
    """`struct Layer` of the C++ source, member by member."""

    _fields_ = (
        ("rows", ctypes.c_int64),
        ("fields", ctypes.c_int32),
        ("in_dim", ctypes.c_int32),
        ("heads", ctypes.c_int32),
        ("head_dim", ctypes.c_int32),
        ("residual", ctypes.c_int32),
        ("relu_heads", ctypes.c_int32),
        ("relu_residual", ctypes.c_int32),
        ("x_is_bfloat16", ctypes.c_int32),
        ("threads", ctypes.c_int32),
        ("dropout", ctypes.c_float),
        ("epsilon", ctypes.c_float),
        ("seed", ctypes.c_uint64),
        *((name, ctypes.c_void_p) for name in ("x", "weight", "bias", "gain", "shift", "output", "saved", "grad")),
        *((f"grad_{name}", ctypes.c_void_p) for name in ("x", "weight", "bias", "gain", "shift")),
        ("parallel", ctypes.c_void_p),
    )


@functools.cache
def compiled() -> ctypes.CDLL | str:
    """The compiled kernel, or why there is none."""
    if sys.platform != "linux" or platform.machine() != "x86_64":
        return "it is written for Linux on x86-64"
    if not torch.cpu._is_avx512_bf16_supported():
        return "this CPU has no AVX512-BF16"
    library = library_or_reason(Path(__file__).with_name("interacting.cpp"), FLAGS)
    if not isinstance(library, str):
        library.fieldwise_saved_bytes.restype = ctypes.c_int64
    return library


def why_not() -> str | None:
    """Why the fused layer cannot be had on this machine; None where it can. The first call may compile for seconds."""
    library = compiled()
    return library if isinstance(library, str) else None


def fits(in_dim: int, attention_dim: int, num_heads: int) -> bool:
    """Whether the kernel has a form for layers of these widths."""
    return attention_dim // num_heads % 2 == 0 and in_dim <= 1024 and attention_dim <= 1024


class FusedInteraction(torch.autograd.Function):
    """A whole interacting layer (AutoInt, eq. 5 to 8), its LayerNorm included."""

    @staticmethod
    def forward(
        ctx: Any,
        x: Tensor,
        weight: Tensor,
        bias: Tensor | None,
        gain: Tensor | None,
        shift: Tensor | None,
        options: Options,
    ) -> Tensor:
        """See `interact`."""
        x = x.contiguous()
        parameters = [None if p is None else p.detach().float().contiguous() for p in (weight, bias, gain, shift)]
        rows, fields, in_dim = x.shape
        assert parameters[0] is not None
        width = len(parameters[0]) // (4 if options.residual == "projected" else 3)
        output = torch.empty(rows, fields, width, dtype=torch.bfloat16)
        seed = int(torch.randint(1 << 62, ())) if options.dropout else 0
        layer = _Layer(
            rows=rows,
            fields=fields,
            in_dim=in_dim,
            heads=options.num_heads,
            head_dim=width // options.num_heads,
            residual=_RESIDUAL[options.residual],
            relu_heads=options.relu_heads,
            relu_residual=options.relu_residual,
            x_is_bfloat16=x.dtype == torch.bfloat16,
            threads=torch.get_num_threads(),
            dropout=options.dropout,
            epsilon=options.epsilon,
            seed=seed,
            x=x.data_ptr(),
            output=output.data_ptr(),
            parallel=torch_threads(),
        )
        for name, parameter in zip(("weight", "bias", "gain", "shift"), parameters, strict=True):
            setattr(layer, name, None if parameter is None else parameter.data_ptr())
        library = _require()
        saved = torch.empty(library.fieldwise_saved_bytes(ctypes.byref(layer)), dtype=torch.uint8)
        layer.saved = saved.data_ptr()
        _run(library.fieldwise_interacting_forward, layer)
        # The kernel reads where the weights lie, so it is well that torch notices a change between the two passes.
        ctx.save_for_backward(x, weight, bias, gain, shift)
        ctx.memory = layer, saved, parameters
        return output

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        """The gradients of `x` and of the weights."""
        x, weight, bias, gain, shift = ctx.saved_tensors
        layer, _, _ = ctx.memory
        grad = grad.to(torch.bfloat16).contiguous()
        layer.grad = grad.data_ptr()
        grads = {"x": torch.empty_like(x)}
        for name, parameter in {"weight": weight, "bias": bias, "gain": gain, "shift": shift}.items():
            if parameter is not None:
                grads[name] = torch.empty(parameter.shape)
        for name, one in grads.items():
            setattr(layer, f"grad_{name}", one.data_ptr())
        _run(_require().fieldwise_interacting_backward, layer)
        return *(grads.get(name) for name in ("x", "weight", "bias", "gain", "shift")), None


def interact(
    x: Tensor, weight: Tensor, bias: Tensor | None, gain: Tensor | None, shift: Tensor | None, options: Options
) -> Tensor:
    """An interacting layer; products are bfloat16, sums float32.

    With dropout, one draw from torch's generator seeds the layer's own random numbers. Equal inputs and an equal number
    of threads give equal bits.

    Args:
        x: Field vectors, float32 or bfloat16 on the CPU.
        weight: Queries' (scaled), keys', values', each head after head, and the residual's.
        bias: Of the same, or None.
        gain, shift: LayerNorm's, or None both.
        options: The form of the layer.

    Returns:
        bfloat16.

    Shape:
        x: [B, F, d_in].
        weight: [3 W or 4 W, d_in].
        bias: [3 W or 4 W].
        gain, shift: [W].
        output: [B, F, W].

    Raises:
        RuntimeError: Where `why_not` gives a reason.
        MemoryError: Where memory does not suffice.
    """
    output: Tensor = FusedInteraction.apply(x, weight, bias, gain, shift, options)  # type: ignore[no-untyped-call]
    return output


def _require() -> ctypes.CDLL:
    library = compiled()
    if isinstance(library, str):
        raise RuntimeError(f"there is no fused interacting layer here: {library}")
    return library


def _run(function: Any, layer: _Layer) -> None:
    if function(ctypes.byref(layer)):
        raise MemoryError("not enough memory for an interacting layer")
