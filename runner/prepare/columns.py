"""Raw columns as they come over from the checking process: numbers, booleans, texts and times, with holes."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray


def numbers_of(column: pa.ChunkedArray) -> NDArray[np.float64]:
    """A column of numbers or booleans, shape (rows,), float64; NaN is a hole."""
    values: NDArray[np.float64] = column.cast(pa.float64()).to_numpy()
    return values


def canonical_bytes(column: pa.ChunkedArray) -> bytes:
    """Bytes that are equal for equal columns, and for no others of the same type; for digests."""
    if pa.types.is_large_string(column.type):
        return _bytes_of_texts(column)
    holes = column.is_null().to_numpy().tobytes() if column.null_count else b""
    if pa.types.is_timestamp(column.type):
        column = column.cast(pa.int64())
    if column.null_count:
        column = column.fill_null(False if pa.types.is_boolean(column.type) else 0)
    return bytes(holes + column.to_numpy().tobytes())


def _bytes_of_texts(column: pa.ChunkedArray) -> bytes:
    """The lengths (-1: a hole), and then all texts in a row."""
    lengths = pc.binary_length(column).fill_null(-1).to_numpy()
    texts = column.fill_null("").combine_chunks()
    _, ends, content = texts.buffers()
    offsets = np.frombuffer(ends, dtype=np.int64)[texts.offset : texts.offset + len(texts) + 1] if len(texts) else [0]
    return bytes(lengths.tobytes() + (content.to_pybytes()[offsets[0] : offsets[-1]] if content else b""))
