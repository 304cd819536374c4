"""Contracts of `data=lenders`: made-up customers of three lenders, each with its own record of defaults."""

import pandera.polars as pa


class Alice(pa.DataFrameModel):
    """The bank."""

    customer_id: str = pa.Field(str_matches=r"^C\d{5}$")
    income: float = pa.Field(ge=0)
    balance: float
    years_as_customer: int = pa.Field(ge=0)
    default: int = pa.Field(isin=[0, 1])


class Bob(pa.DataFrameModel):
    """The card issuer."""

    customer_id: str = pa.Field(str_matches=r"^C\d{5}$")
    card_limit: float = pa.Field(ge=0)
    card_use: float = pa.Field(ge=0, le=1)
    late_payments: int = pa.Field(ge=0)
    default: int = pa.Field(isin=[0, 1])


class Carol(pa.DataFrameModel):
    """The mortgage lender."""

    customer_id: str = pa.Field(str_matches=r"^C\d{5}$")
    loan: float = pa.Field(ge=0)
    loan_to_value: float = pa.Field(ge=0, le=2)
    months_left: int = pa.Field(ge=0)
    default: int = pa.Field(isin=[0, 1])
