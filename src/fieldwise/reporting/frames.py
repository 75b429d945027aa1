"""Data frames of what the library has counted and measured."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from fieldwise.errors import SettingsError

if TYPE_CHECKING:
    import pandas as pd


def data_frame(content: Sequence[Mapping[str, Any]] | Mapping[str, Sequence[Any]]) -> pd.DataFrame:
    """Records or columns as a pandas data frame.

    Args:
        content: one mapping per row, column name to value; or one, column name to all values.

    Returns:
        The frame.

    Raises:
        SettingsError: pandas is not installed.
    """
    try:
        import pandas as pd
    except ImportError:
        raise SettingsError("to_pandas needs pandas; install it with: pip install pandas") from None
    return pd.DataFrame(content)
