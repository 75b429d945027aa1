"""What a model must be so that interactions can be searched for it, and what it says of the search."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol, runtime_checkable

from torch import nn

from fieldwise.layers.interactions import Interactions


@dataclass(frozen=True)
class SearchHooks:
    """Given to `register`: the model builds from the setting `architecture`, and one can be searched for it.

    Attributes:
        defaults: Settings of the search that differ from the usual ones.
        while_searching: The model's own settings that differ while it is searched for; a network that is built with
            them is `Searchable`.

    Example:
        >>> SearchHooks(defaults={"functions": ("inner",)}, while_searching={"dnn_hidden": ()}).while_searching
        {'dnn_hidden': ()}
    """

    defaults: Mapping[str, Any] = field(default_factory=dict)
    while_searching: Mapping[str, Any] = field(default_factory=dict)


@runtime_checkable
class Searchable(Protocol):
    """A network whose interactions have gates.

    Attributes:
        interactions: All candidates.
        gates: `Gates` by order as a string, in the order of `interactions.of_order`.

    Example:
        >>> from fieldwise.layout import FieldLayout, Layout
        >>> from fieldwise.models import build
        >>> layout = Layout((FieldLayout("user", "categorical", 9), FieldLayout("movie", "categorical", 7)))
        >>> [isinstance(build(name, layout), Searchable) for name in ("aim", "autofis", "fm")]
        [True, True, False]
    """

    interactions: Interactions
    gates: nn.ModuleDict
