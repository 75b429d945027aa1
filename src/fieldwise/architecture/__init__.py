"""What a search has found, as plain data: `Architecture`."""

from fieldwise.architecture.document import Architecture, DataSummary, FieldSummary, Interaction, TupleStatistic

__all__ = ["Architecture", "DataSummary", "FieldSummary", "Interaction", "TupleStatistic"]
