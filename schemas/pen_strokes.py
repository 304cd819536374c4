"""Contracts of `data=pen_strokes`: ink in the right-hand column of 1,797 handwritten digits, of 8 x 8 cells each.

Source: E. Alpaydin, C. Kaynak, "Optical Recognition of Handwritten Digits" (UCI, 1998), as it comes with scikit-learn:
how many of 16 pixels of a cell are inked. Each party has one column of cells; the target is the sum over the last
column, a number that is 0 for nine digits in ten.
"""

import pandera.polars as pa


class Alice(pa.DataFrameModel):
    """Column 4, from the top down."""

    image: str
    ink_0_4: float = pa.Field(ge=0, le=16)
    ink_1_4: float = pa.Field(ge=0, le=16)
    ink_2_4: float = pa.Field(ge=0, le=16)
    ink_3_4: float = pa.Field(ge=0, le=16)
    ink_4_4: float = pa.Field(ge=0, le=16)
    ink_5_4: float = pa.Field(ge=0, le=16)
    ink_6_4: float = pa.Field(ge=0, le=16)
    ink_7_4: float = pa.Field(ge=0, le=16)


class Bob(pa.DataFrameModel):
    """Column 5."""

    image: str
    ink_0_5: float = pa.Field(ge=0, le=16)
    ink_1_5: float = pa.Field(ge=0, le=16)
    ink_2_5: float = pa.Field(ge=0, le=16)
    ink_3_5: float = pa.Field(ge=0, le=16)
    ink_4_5: float = pa.Field(ge=0, le=16)
    ink_5_5: float = pa.Field(ge=0, le=16)
    ink_6_5: float = pa.Field(ge=0, le=16)
    ink_7_5: float = pa.Field(ge=0, le=16)


class Carol(pa.DataFrameModel):
    """Column 6, and the ink in column 7."""

    image: str
    ink_0_6: float = pa.Field(ge=0, le=16)
    ink_1_6: float = pa.Field(ge=0, le=16)
    ink_2_6: float = pa.Field(ge=0, le=16)
    ink_3_6: float = pa.Field(ge=0, le=16)
    ink_4_6: float = pa.Field(ge=0, le=16)
    ink_5_6: float = pa.Field(ge=0, le=16)
    ink_6_6: float = pa.Field(ge=0, le=16)
    ink_7_6: float = pa.Field(ge=0, le=16)
    target: float = pa.Field(ge=0, le=128)
