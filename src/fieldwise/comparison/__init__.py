"""Comparison: many models by many seeds on the same rows, and the papers' tables of what came of it.

contenders   who takes part, from names and a settings file
grid         trains them all, one run after another; what is done stays done
results      runs and what they come to: means, deviations, differences, significance
tables       the same as Markdown, CSV and pictures
published    the papers' figures, to stand beside
"""

from fieldwise.comparison.contenders import Contender
from fieldwise.comparison.grid import compare
from fieldwise.comparison.results import Comparison, Run, Summary, average_changes

__all__ = ["Comparison", "Contender", "Run", "Summary", "average_changes", "compare"]
