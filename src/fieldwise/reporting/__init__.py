"""What the library says and shows: words and bars, tables, figures."""

from fieldwise.reporting.reporter import Progress, Reporter

__all__ = ["Progress", "Reporter"]
