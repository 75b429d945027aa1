"""What the C library and the system can do about memory, so that large tensors cost less time. It changes no number."""

from __future__ import annotations

import ctypes
import platform
import sys

from torch import Tensor

_M_TRIM_THRESHOLD, _M_MMAP_MAX = -1, -4
_MADV_HUGEPAGE, _MADV_COLLAPSE = 14, 25
_PAGE = 4096
_LARGE = 1 << 25


def has_glibc() -> bool:
    """Whether the C library is glibc on Linux."""
    return sys.platform == "linux" and platform.libc_ver()[0] == "glibc"


def keep_freed_memory() -> None:
    """Have the C library keep freed memory for the next step instead of giving it back and clearing it again.

    A step takes and frees the same large pieces over and over; by default each of them is mapped anew and cleared by
    the system. Holds for the whole process and cannot be undone. Does nothing where the C library is not glibc.
    """
    if has_glibc():
        libc = ctypes.CDLL(None)
        libc.mallopt(_M_MMAP_MAX, 0)
        libc.mallopt(_M_TRIM_THRESHOLD, 2**31 - 1)


def use_huge_pages(tensor: Tensor) -> None:
    """Ask the system to hold a tensor in pages of 2 MB, if it is on the CPU and has at least 32 MB.

    A batch reads rows all over an embedding table, and with pages of 4 KB nearly each of them means that the processor
    has to look up where in memory its page lies. Does nothing where the system has no such pages to give.
    """
    size = tensor.numel() * tensor.element_size()
    if sys.platform != "linux" or tensor.device.type != "cpu" or size < _LARGE:
        return
    start = -(-tensor.data_ptr() // _PAGE) * _PAGE
    length = (tensor.data_ptr() + size - start) // _PAGE * _PAGE
    madvise = ctypes.CDLL(None).madvise
    # The first is for pages that are yet to be touched, the second (since Linux 6.1) for those that are there already.
    for advice in (_MADV_HUGEPAGE, _MADV_COLLAPSE):
        madvise(ctypes.c_void_p(start), ctypes.c_size_t(length), ctypes.c_int(advice))
