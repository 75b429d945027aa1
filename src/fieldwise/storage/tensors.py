"""Reading safetensors files that may come from strangers, straight to where their tensors belong."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING

from pydantic import BaseModel, ConfigDict, TypeAdapter

from fieldwise.errors import PredictorFormatError
from fieldwise.storage.untrusted import MOST_JSON, CheckedFile, parse_json

if TYPE_CHECKING:
    from torch import Tensor

_DTYPES = {
    "F64": ("float64", 8),
    "F32": ("float32", 4),
    "F16": ("float16", 2),
    "BF16": ("bfloat16", 2),
    "I64": ("int64", 8),
    "I32": ("int32", 4),
    "I16": ("int16", 2),
    "I8": ("int8", 1),
    "U8": ("uint8", 1),
    "BOOL": ("bool", 1),
}
"""What safetensors calls the dtypes of torch, and the bytes of a number."""


class _TensorRecord(BaseModel):
    model_config = ConfigDict(extra="forbid")
    dtype: str
    shape: list[int]
    data_offsets: tuple[int, int]


def read_tensor_order(file: CheckedFile, expected: Mapping[str, Tensor]) -> list[str]:
    """The names of a safetensors file's tensors as they lie in it; `file` then stands at the first one.

    Args:
        file: at its beginning.
        expected: what must be there, no more and no less, by shape and dtype; the tensors may be on the meta device.

    Returns:
        The names.

    Raises:
        PredictorFormatError: something else is there, or the tensors do not fill the file without gaps.
    """
    _, records = _read_header(file)
    for name in sorted(expected.keys() ^ records.keys()):
        raise PredictorFormatError(f"tensor '{name}' is {'missing' if name in expected else 'not one of the model'}")
    for name, record in records.items():
        tensor = expected[name]
        dtype, _ = _DTYPES.get(record.dtype, ("", 0))
        if f"torch.{dtype}" != str(tensor.dtype) or record.shape != list(tensor.shape):
            raise PredictorFormatError(
                f"tensor '{name}' is {record.dtype} {record.shape}, but the model needs {tensor.dtype} "
                f"{list(tensor.shape)}"
            )
    return _require_no_gaps(file, records)


def read_all_tensors(file: CheckedFile) -> tuple[dict[str, str], dict[str, Tensor]]:
    """The texts in a safetensors file's header, and its tensors, whichever they are.

    Args:
        file: at its beginning.

    Returns:
        The texts and the tensors, by name.

    Raises:
        PredictorFormatError: the tensors do not fill the file without gaps.

    Example:
        >>> import torch
        >>> from fieldwise.storage.atomic import write_tensors
        >>> from fieldwise.storage.untrusted import open_regular
        >>> with open_regular(write_tensors("state.safetensors", {"bias": torch.zeros(2)}, {"epoch": "3"})) as file:
        ...     read_all_tensors(file)
        ({'epoch': '3'}, {'bias': tensor([0., 0.])})
    """
    import torch

    texts, records = _read_header(file)
    for name, record in records.items():
        if record.dtype not in _DTYPES or any(size < 0 for size in record.shape):
            raise PredictorFormatError(f"tensor '{name}' is {record.dtype} {record.shape}, which is not known")
    order = _require_no_gaps(file, records)
    # Only now is there room for them: the file is known to hold as much.
    tensors = {n: torch.empty(r.shape, dtype=getattr(torch, _DTYPES[r.dtype][0])) for n, r in records.items()}
    read_tensors(file, tensors, order)
    return texts, tensors


def _read_header(file: CheckedFile) -> tuple[dict[str, str], dict[str, _TensorRecord]]:
    length = int.from_bytes(file.read(8), "little")
    if length > min(MOST_JSON, file.size - 8):
        raise PredictorFormatError(f"its header cannot have {length:,} bytes")
    header = parse_json(file.read(length))
    texts = header.pop("__metadata__", None) if isinstance(header, dict) else None
    records = TypeAdapter(dict[str, _TensorRecord]).validate_python(header)
    return TypeAdapter(dict[str, str]).validate_python({} if texts is None else texts), records


def _require_no_gaps(file: CheckedFile, records: Mapping[str, _TensorRecord]) -> list[str]:
    """The names of tensors as they lie in a file, whose header has just been read."""
    order = sorted(records, key=lambda name: records[name].data_offsets)
    position = 0
    for name in order:
        record = records[name]
        end = position + math.prod(record.shape) * _DTYPES[record.dtype][1]
        if record.data_offsets != (position, end):
            raise PredictorFormatError(f"tensor '{name}' does not lie where the one before it ends")
        position = end
    if file.position + position != file.size:
        raise PredictorFormatError("it goes on behind the last tensor, or ends before it")
    return order


def read_tensors(file: CheckedFile, tensors: Mapping[str, Tensor], order: list[str]) -> None:
    """Fill tensors, without a copy in between.

    Args:
        file: at the first tensor.
        tensors: contiguous ones on the CPU, by name.
        order: in which they lie in the file.

    Raises:
        PredictorFormatError: the file is too short, or a boolean is neither true nor false.
    """
    import torch

    for name in order:
        # A tensor of no dimension cannot be seen as bytes, and bfloat16 cannot go to NumPy.
        numbers = tensors[name].view(-1).view(torch.uint8).numpy()
        file.read_into(numbers.data)
        if tensors[name].dtype == torch.bool and numbers.size and numbers.max() > 1:
            raise PredictorFormatError(f"tensor '{name}' holds bytes that are neither true nor false")


def require_finite(tensors: Mapping[str, Tensor]) -> None:
    """Refuse NaN and infinity: predictions would be NaN without a word.

    Args:
        tensors: by name.

    Raises:
        PredictorFormatError: a tensor holds them; the message names it.

    Example:
        >>> import torch
        >>> require_finite({"bias": torch.tensor([1.0, float("nan")])})
        Traceback (most recent call last):
        fieldwise.errors.PredictorFormatError: tensor 'bias' holds numbers that are not finite
    """
    import torch

    for name, tensor in tensors.items():
        if tensor.is_floating_point() and tensor.numel() and not torch.stack(tensor.aminmax()).isfinite().all():
            raise PredictorFormatError(f"tensor '{name}' holds numbers that are not finite")
