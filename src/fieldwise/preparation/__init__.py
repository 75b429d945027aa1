"""From a source to encoded rows: read the tables, settle the schema, split, encode. All fitting begins here."""

from fieldwise.preparation.prepare import Prepared, Tables, prepare, read, settle_schema

__all__ = ["Prepared", "Tables", "prepare", "read", "settle_schema"]
