"""Reading tensors of strangers."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import save

from fieldwise.errors import PredictorFormatError
from fieldwise.storage.atomic import write_tensors
from fieldwise.storage.tensors import read_all_tensors
from fieldwise.storage.untrusted import open_regular


def test_all_tensors_are_read_with_the_texts_of_the_header(tmp_path: Path) -> None:
    tensors = {
        "float": torch.rand(3, 4),
        "half": torch.rand(3).to(torch.bfloat16),
        "whole": torch.arange(5),
        "state": torch.arange(7, dtype=torch.uint8),
        "flag": torch.tensor(True),
        "empty": torch.zeros(0, 3),
    }
    path = write_tensors(tmp_path / "a", tensors, {"format": "mine"})
    with open_regular(path) as file:
        texts, read = read_all_tensors(file)
    assert texts == {"format": "mine"}
    assert read.keys() == tensors.keys()
    for name, tensor in tensors.items():
        assert read[name].dtype == tensor.dtype
        assert torch.equal(read[name], tensor)


def lying(record: dict[str, object]) -> bytes:
    header = json.dumps({"x": {"dtype": "F32", "shape": [2], "data_offsets": [0, 8], **record}}).encode()
    return len(header).to_bytes(8, "little") + header + bytes(8)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "became shorter"),
        (b"\xff" * 20, "its header cannot have"),
        (save({"x": torch.zeros(9)})[:-1], "ends before it"),
        (save({"x": torch.zeros(9)}) + b"\0", "goes on behind the last tensor"),
        (lying({"shape": [2**40], "data_offsets": [0, 2**42]}), "ends before it"),
        (lying({"shape": [-2], "data_offsets": [0, 8]}), "not known"),
        (lying({"dtype": "F128"}), "not known"),
        (lying({"data_offsets": [4, 8]}), "does not lie where"),
    ],
)
def test_nothing_is_read_that_is_not_there(tmp_path: Path, content: bytes, message: str) -> None:
    (tmp_path / "a").write_bytes(content)
    with open_regular(tmp_path / "a") as file, pytest.raises(PredictorFormatError, match=message):
        read_all_tensors(file)
