"""Data frames of what the library has counted and measured."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from fieldwise.errors import SettingsError

if TYPE_CHECKING:
    import pandas as pd


def data_frame(records: Sequence[Mapping[str, Any]]) -> pd.DataFrame:
    """Records as a pandas data frame.

    Args:
        records: one per row, column name to value.

    Returns:
        The frame.

    Raises:
        SettingsError: pandas is not installed.
    """
    try:
        import pandas as pd
    except ImportError:
        raise SettingsError("to_pandas needs pandas; install it with: pip install pandas") from None
    return pd.DataFrame(list(records))
