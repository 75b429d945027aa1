"""Predictor: schema, encoder and model in one object, and one directory on disk that needs nothing else."""

from fieldwise.predictor.predictor import Predictor
from fieldwise.storage.places import is_predictor

__all__ = ["Predictor", "is_predictor"]
