"""Objectives: what a label may be, and what a model's output means."""

from fieldwise.objectives.binary import Binary, Objective

__all__ = ["Binary", "Objective"]
