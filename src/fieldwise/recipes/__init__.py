"""Recipes: procedures that turn prepared rows into a fitted model."""
