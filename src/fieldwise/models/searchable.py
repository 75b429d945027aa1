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
    """

    defaults: Mapping[str, Any] = field(default_factory=dict)
    while_searching: Mapping[str, Any] = field(default_factory=dict)


@runtime_checkable
class Searchable(Protocol):
    """A network whose interactions have gates. gates: by order as a string, in the order of `interactions.of_order`."""

    interactions: Interactions
    gates: nn.ModuleDict
