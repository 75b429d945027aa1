"""From a source to encoded rows: read the tables, settle the schema, split, encode. All fitting begins here."""

from fieldwise.preparation.prepare import Prepared, Tables, encode_table, prepare, prepare_request, read, settle_schema
from fieldwise.preparation.request import DataArguments, DataRequest, takes_data

__all__ = [
    "DataArguments",
    "DataRequest",
    "Prepared",
    "Tables",
    "encode_table",
    "prepare",
    "prepare_request",
    "read",
    "settle_schema",
    "takes_data",
]
