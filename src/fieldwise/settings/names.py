"""Names of settings that have changed: what files and commands say in old words is still understood."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

from fieldwise.architecture import upgrade

_log = logging.getLogger(__name__)

OLD_NAMES: Mapping[str, str] = {
    "search.passes": "search.epochs",
    "search.share_positions": "search.share_dimensions",
    "search.position_threshold": "search.dimension_threshold",
    "search.position_mu": "search.dimension_mu",
    "search.position_gate_learning_rate": "search.dimension_gate_learning_rate",
    "search.position_c": "search.dimension_c",
}
"""What settings were called before, by section and name: files and commands that say it so are still understood."""


def new_name(name: str) -> str:
    """Today's name of a setting; says so in the log where another one was given.

    Args:
        name: dotted.

    Returns:
        The name, dotted too.

    Example:
        >>> new_name("search.passes"), new_name("search.top")
        ('search.epochs', 'search.top')
    """
    new = OLD_NAMES.get(name)
    if new is None:
        return name
    _log.warning("the setting %s is now called %s", name, new)
    return new


def with_new_names(document: Mapping[str, Any]) -> dict[str, Any]:
    """Saved settings in today's words: with the new names of settings (`OLD_NAMES`), an architecture among them too.

    Args:
        document: section -> name -> value. Whatever looks different stays as it is, and so does an old name beside
            today's: that a document says both is for its validation to refuse.

    Returns:
        A new document.

    Example:
        >>> with_new_names({"search": {"passes": 2, "top": 3}})
        {'search': {'epochs': 2, 'top': 3}}
    """
    renamed = dict(document)
    for old, new in OLD_NAMES.items():
        (section, old_name), (_, today) = old.split("."), new.split(".")
        settings = renamed.get(section)
        if isinstance(settings, Mapping) and old_name in settings and today not in settings:
            renamed[section] = {today if name == old_name else name: value for name, value in settings.items()}
    of_model = renamed.get("model_settings")
    if isinstance(of_model, Mapping) and "architecture" in of_model:
        renamed["model_settings"] = {**of_model, "architecture": upgrade(of_model["architecture"])}
    return renamed
