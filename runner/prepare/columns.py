"""Raw columns as they come over from the checking process: numbers, booleans, texts and times, with holes."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray


def numbers_of(column: pa.ChunkedArray) -> NDArray[np.float64]:
    """A column of numbers or booleans, shape (rows,), float64; NaN is a hole."""
    values: NDArray[np.float64] = column.cast(pa.float64()).to_numpy()
    return values


def canonical_bytes(column: pa.ChunkedArray) -> bytes:
    """Bytes that are equal for equal columns, and for no others of the same type; for digests."""
    if pa.types.is_large_string(column.type):
        texts = column.to_pylist()
        lengths = np.array([-1 if text is None else len(text.encode()) for text in texts], dtype=np.int64)
        return lengths.tobytes() + "".join(text or "" for text in texts).encode()
    holes = column.is_null().to_numpy().tobytes() if column.null_count else b""
    if pa.types.is_timestamp(column.type):
        column = column.cast(pa.int64())
    if column.null_count:
        column = column.fill_null(False if pa.types.is_boolean(column.type) else 0)
    return bytes(holes + column.to_numpy().tobytes())
