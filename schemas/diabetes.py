"""Contracts of `data=diabetes`: disease progression of 442 patients after one year, ten features over three clinics.

Source: B. Efron et al., "Least angle regression", Annals of Statistics 32 (2004), as it comes with scikit-learn
(features centred and scaled; the target is a number from 25 to 346).
"""

import pandera.polars as pa


class Alice(pa.DataFrameModel):
    """The practice: who the patient is."""

    patient_id: str
    age: float = pa.Field(ge=-1, le=1)
    sex: float = pa.Field(ge=-1, le=1)
    bmi: float = pa.Field(ge=-1, le=1)
    bp: float = pa.Field(ge=-1, le=1)


class Bob(pa.DataFrameModel):
    """The laboratory: blood serum."""

    patient_id: str
    s1: float = pa.Field(ge=-1, le=1)
    s2: float = pa.Field(ge=-1, le=1)
    s3: float = pa.Field(ge=-1, le=1)


class Carol(pa.DataFrameModel):
    """The hospital: more serum values, and the progression after one year."""

    patient_id: str
    s4: float = pa.Field(ge=-1, le=1)
    s5: float = pa.Field(ge=-1, le=1)
    s6: float = pa.Field(ge=-1, le=1)
    target: float = pa.Field(ge=0, le=1000)
