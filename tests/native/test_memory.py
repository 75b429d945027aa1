"""What is asked of the C library and the system does no harm, whatever it brings."""

from __future__ import annotations

import pytest
import torch

from fieldwise.native import memory


def test_freed_memory_is_kept_without_harm() -> None:
    memory.keep_freed_memory()
    assert torch.ones(1 << 20).sum() == 1 << 20


@pytest.mark.parametrize("numbers", [1, 1 << 23, (1 << 23) + 12_345])
def test_a_tensor_in_huge_pages_holds_what_it_held(numbers: int) -> None:
    tensor = torch.arange(numbers, dtype=torch.float32)
    part = tensor[1:]  # it need not begin where a page begins
    memory.use_huge_pages(tensor)
    memory.use_huge_pages(part)
    assert torch.equal(tensor, torch.arange(numbers, dtype=torch.float32))


def test_small_tensors_and_other_systems_are_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory.ctypes, "CDLL", lambda name: pytest.fail("the system was asked"))
    memory.use_huge_pages(torch.zeros(1000))
    monkeypatch.setattr(memory.sys, "platform", "darwin")
    memory.use_huge_pages(torch.zeros(1 << 23))
    memory.keep_freed_memory()
