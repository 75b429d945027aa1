"""Arrow's extension types as ordinary columns: what a library has built on top of a storage that Arrow knows.

arrow.uuid         text, as UUIDs are written
arrow.bool8        booleans
pandas.interval    text, such as "(0.5, 1.5]" (what `pandas.cut` gives)
pandas.period      text, such as "2026-01"
any other          its storage, such as the text of JSON
"""

from __future__ import annotations

import uuid

import pyarrow as pa
import pyarrow.compute as pc


def is_extension(kind: pa.DataType) -> bool:
    """Whether a type is one that is built on another."""
    return isinstance(kind, pa.BaseExtensionType)


def stored(array: pa.Array) -> pa.Array:
    """An array of an extension type as an ordinary one; any other array as it is.

    Args:
        array: N values.

    Returns:
        The N values.

    Example:
        >>> ids = pa.array([uuid.UUID(int=7).bytes, None], pa.binary(16))
        >>> stored(pa.ExtensionArray.from_storage(pa.uuid(), ids)).to_pylist()
        ['00000000-0000-0000-0000-000000000007', None]
    """
    if not is_extension(array.type):
        return array
    match array.type.extension_name:
        case "arrow.uuid":
            encoded = array.storage.dictionary_encode()
            texts = [str(uuid.UUID(bytes=value)) for value in encoded.dictionary.to_pylist()]
            return pa.array(texts, pa.string()).take(encoded.indices)
        case "arrow.bool8":
            return pc.not_equal(array.storage, pa.scalar(0, pa.int8()))
        case "pandas.interval" | "pandas.period":
            # As pandas itself writes them, since single values come as its own objects.
            values = array.to_pandas()
            return pa.array(
                [None if gap else str(v) for v, gap in zip(values, values.isna(), strict=True)], pa.string()
            )
        case _:
            return array.storage
