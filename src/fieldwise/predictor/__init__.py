"""Predictor: schema, encoder and model in one object, and one directory on disk that needs nothing else."""

from fieldwise.predictor.files import is_predictor
from fieldwise.predictor.predictor import Predictor

__all__ = ["Predictor", "is_predictor"]
