"""Tuning: hyper-parameters over named ranges, on the validation rows."""

from fieldwise.tuning.search_space import Choice, Range, default_ranges, parse_range
from fieldwise.tuning.tuner import Trial, Tuned, tune

__all__ = ["Choice", "Range", "Trial", "Tuned", "default_ranges", "parse_range", "tune"]
