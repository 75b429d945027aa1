"""Comparison: many models by many seeds on the same rows, and the papers' tables of what came of it.

contenders   who takes part, from names and a settings file
grid         trains them all, one run after another; what is done stays done
results      runs and what they come to: means, deviations, differences, significance
output       the same as a table, Markdown, CSV, HTML and records
comparison   results with all of these forms
pictures     the same drawn
files        the files of a comparison
published    the papers' figures, to stand beside
"""

from fieldwise.comparison.comparison import Comparison
from fieldwise.comparison.contenders import Contender
from fieldwise.comparison.files import read, write
from fieldwise.comparison.grid import compare
from fieldwise.comparison.results import BINARY, MetricSpec, Run, Statistic, Summary, average_changes

__all__ = [
    "BINARY",
    "Comparison",
    "Contender",
    "MetricSpec",
    "Run",
    "Statistic",
    "Summary",
    "average_changes",
    "compare",
    "read",
    "write",
]
