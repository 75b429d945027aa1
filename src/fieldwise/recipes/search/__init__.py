"""Searching for interactions, their functions and embedding dimensions; trimming what was found."""

from fieldwise.recipes.search.budget import seconds_searched
from fieldwise.recipes.search.sequence import search, search_dimensions
from fieldwise.recipes.search.stage_training import StageRecord
from fieldwise.recipes.search.trimming import measure_latency, trim

__all__ = ["StageRecord", "measure_latency", "search", "search_dimensions", "seconds_searched", "trim"]
