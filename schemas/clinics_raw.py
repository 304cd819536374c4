"""Contracts of `data=clinics_raw`: the breast cancer measurements as a clinic's own table might have them.

Real measurements (see breast_cancer.py), some of them written as bands of text or as yes and no, with holes punched by
a fixed seed. Whatever is not said here about preparation is as ``prepare=`` says.
"""

import pandera.polars as pa
import polars as pl

ID = r"^P\d{4}$"


class Alice(pa.DataFrameModel):
    """Means over the cells of an image."""

    patient_id: str = pa.Field(str_matches=ID)
    mean_radius: float = pa.Field(gt=0, lt=100, nullable=True)
    mean_texture: float = pa.Field(gt=0, lt=200, nullable=True, metadata={"prepare": {"missing": "median"}})
    mean_area: float = pa.Field(gt=0, lt=10000)
    mean_smoothness: float = pa.Field(ge=0, le=1, metadata={"prepare": {"clip": [0.01, 0.99]}})
    size: str = pa.Field(nullable=True)
    indented: bool = pa.Field(nullable=True)


class Bob(pa.DataFrameModel):
    """Standard errors; the laboratory is the same for all patients, and one column is there twice."""

    patient_id: str = pa.Field(str_matches=ID)
    radius_error: float = pa.Field(ge=0, lt=100, nullable=True)
    radius_error_copy: float = pa.Field(ge=0, lt=100, nullable=True)
    perimeter_error: float = pa.Field(ge=0, lt=500)
    area_error: float = pa.Field(ge=0, lt=5000, nullable=True, metadata={"prepare": {"indicator": True}})
    texture: str = pa.Field(nullable=True, metadata={"prepare": {"encode": "frequency"}})
    laboratory: str
    seen_on: pl.Date = pa.Field(nullable=True)


class Carol(pa.DataFrameModel):
    """Means of the three largest values, and the diagnosis (1: benign, 0: malignant)."""

    patient_id: str = pa.Field(str_matches=ID)
    worst_radius: float = pa.Field(gt=0, lt=200)
    worst_texture: float = pa.Field(gt=0, lt=200, nullable=True)
    worst_concavity: float = pa.Field(ge=0, le=3, nullable=True)
    outline: str = pa.Field(nullable=True, metadata={"prepare": {"encode": "target"}})
    target: int = pa.Field(isin=[0, 1])
