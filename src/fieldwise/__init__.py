"""fieldwise: click prediction from rows of mixed fields.

    import fieldwise as fw

    predictor = fw.train("clicks.csv", label="click", out="model")
    print(predictor.predict("new.csv"))

The names below are loaded when they are first used, so that the import itself is quick.
"""

from __future__ import annotations

import importlib
import logging
from typing import TYPE_CHECKING, Any

from fieldwise._version import __version__

if TYPE_CHECKING:
    from fieldwise import datasets, layers, metrics, models, objectives, optim
    from fieldwise.api import compare, load, resume, search, train
    from fieldwise.architecture import Architecture
    from fieldwise.data.batch import Batch
    from fieldwise.encoding.encoded import EncodingReport
    from fieldwise.errors import FieldwiseError, FieldwiseWarning
    from fieldwise.layout import FieldLayout, Layout
    from fieldwise.predictor import Predictor
    from fieldwise.schema import Categorical, MultiValued, Numeric, Schema
    from fieldwise.threads import set_threads

__all__ = [
    "Architecture",
    "Batch",
    "Categorical",
    "EncodingReport",
    "FieldLayout",
    "FieldwiseError",
    "FieldwiseWarning",
    "Layout",
    "MultiValued",
    "Numeric",
    "Predictor",
    "Schema",
    "__version__",
    "compare",
    "datasets",
    "layers",
    "load",
    "metrics",
    "models",
    "objectives",
    "optim",
    "resume",
    "search",
    "set_threads",
    "train",
]

_HOMES = {
    "Architecture": "fieldwise.architecture",
    "Batch": "fieldwise.data.batch",
    "Categorical": "fieldwise.schema",
    "FieldLayout": "fieldwise.layout",
    "EncodingReport": "fieldwise.encoding.encoded",
    "FieldwiseError": "fieldwise.errors",
    "FieldwiseWarning": "fieldwise.errors",
    "Layout": "fieldwise.layout",
    "MultiValued": "fieldwise.schema",
    "Numeric": "fieldwise.schema",
    "Predictor": "fieldwise.predictor",
    "Schema": "fieldwise.schema",
    "compare": "fieldwise.api",
    "load": "fieldwise.api",
    "resume": "fieldwise.api",
    "search": "fieldwise.api",
    "set_threads": "fieldwise.threads",
    "train": "fieldwise.api",
}

# What the library says is shown by whoever wants it: see fieldwise.reporting.
logging.getLogger(__name__).addHandler(logging.NullHandler())
_PACKAGES = ("datasets", "layers", "metrics", "models", "objectives", "optim")
"""What there is beside the verbs: data sets, metrics, objectives, and parts for models of one's own."""


def __getattr__(name: str) -> Any:
    if name in _PACKAGES:
        return importlib.import_module(f"fieldwise.{name}")
    if name not in _HOMES:
        raise AttributeError(f"module 'fieldwise' has no attribute '{name}'")
    return getattr(importlib.import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return __all__
