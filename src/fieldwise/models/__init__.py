"""The models, registered by name. The files of this package are found by themselves: a new model is a new file."""

import importlib
import pkgutil

from fieldwise.models.base import CTRModel, ExplainsByAttention, count_parameters
from fieldwise.models.registry import build, names, presets, register, resolve, settings_model, summary

for _module in pkgutil.iter_modules(__path__):
    importlib.import_module(f"{__name__}.{_module.name}")

__all__ = [
    "CTRModel",
    "ExplainsByAttention",
    "build",
    "count_parameters",
    "names",
    "presets",
    "register",
    "resolve",
    "settings_model",
    "summary",
]
