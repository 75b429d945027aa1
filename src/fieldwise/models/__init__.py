"""The models, registered by name. The files of this package are found by themselves: a new model is a new file.

Every model is built and used alike:

    >>> import torch
    >>> from fieldwise import Batch, FieldLayout, Layout
    >>> layout = Layout((FieldLayout("user", "categorical", 9), FieldLayout("price", "numeric", 2)))
    >>> batch = Batch(categorical=torch.tensor([[3], [2], [8]]), numeric=torch.tensor([[0.5], [1.0], [0.0]]))
    >>> {build(name, layout)(batch).shape for name in names()}
    {torch.Size([3])}
"""

import importlib
import pkgutil

from fieldwise.models.base import CTRModel, Dropout, ExplainsByAttention, Hidden, Width, count_parameters
from fieldwise.models.exporting import export_program
from fieldwise.models.registry import build, names, presets, register, resolve, settings_model, sketch, summary
from fieldwise.models.searchable import Searchable, SearchHooks

for _module in pkgutil.iter_modules(__path__):
    importlib.import_module(f"{__name__}.{_module.name}")

__all__ = [
    "CTRModel",
    "Dropout",
    "ExplainsByAttention",
    "Hidden",
    "SearchHooks",
    "Searchable",
    "Width",
    "build",
    "count_parameters",
    "export_program",
    "names",
    "presets",
    "register",
    "resolve",
    "settings_model",
    "sketch",
    "summary",
]
