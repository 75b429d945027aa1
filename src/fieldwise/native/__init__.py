"""Kernels in C++ for what torch has no quick form of: compiled on first use, replaced by torch where that fails."""
