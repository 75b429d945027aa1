"""Searching for interactions, their functions and embedding dimensions."""

from fieldwise.recipes.search.aim import StageRecord, search, search_positions

__all__ = ["StageRecord", "search", "search_positions"]
