"""Schema: which column is which kind of field. Written by hand, read from a file, or inferred (`schema.inference`)."""

from fieldwise.schema.schema import Categorical, FieldSpec, MultiValued, Numeric, Schema, parse_spec

__all__ = ["Categorical", "FieldSpec", "MultiValued", "Numeric", "Schema", "parse_spec"]
