"""Contract of `data=synthetic`: made-up tables of any size.

The class names the id only. The features (x001, x002, …, dealt to the parties by name; finite numbers) and the label
are as many as the settings say, and the runner adds them.
"""

import pandera.polars as pa


class Table(pa.DataFrameModel):
    """Any party's table."""

    customer_id: str
