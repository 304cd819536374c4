"""Contracts of `data=clinics`: the patients of `data=breast_cancer`, as three clinics label them.

Source: W. Street, W. Wolberg, O. Mangasarian, "Nuclear feature extraction for breast tumor diagnosis" (1993),
as it comes with scikit-learn. Each clinic has a *finding* of its own (1: its own measurements are suspicious), marks
its own patients, and has the *diagnosis* (1: malignant, 0: benign) of these only; carol also has it as later
*confirmed* for all.
"""

import pandera.polars as pa


class Alice(pa.DataFrameModel):
    """Mean of each measurement over the cells of an image."""

    patient_id: str = pa.Field(str_matches=r"^P\d{4}$")
    mean_radius: float = pa.Field(gt=0, lt=100)
    mean_texture: float = pa.Field(gt=0, lt=200)
    mean_perimeter: float = pa.Field(gt=0, lt=1000)
    mean_area: float = pa.Field(gt=0, lt=10000)
    mean_smoothness: float = pa.Field(ge=0, le=1)
    mean_compactness: float = pa.Field(ge=0, le=2)
    mean_concavity: float = pa.Field(ge=0, le=2)
    mean_concave_points: float = pa.Field(ge=0, le=1)
    mean_symmetry: float = pa.Field(ge=0, le=1)
    mean_fractal_dimension: float = pa.Field(ge=0, le=1)
    finding: int = pa.Field(isin=[0, 1])
    diagnosis: int = pa.Field(isin=[0, 1], nullable=True)
    own_patient: bool


class Bob(pa.DataFrameModel):
    """Standard error of each measurement."""

    patient_id: str = pa.Field(str_matches=r"^P\d{4}$")
    radius_error: float = pa.Field(ge=0, lt=100)
    texture_error: float = pa.Field(ge=0, lt=100)
    perimeter_error: float = pa.Field(ge=0, lt=500)
    area_error: float = pa.Field(ge=0, lt=5000)
    smoothness_error: float = pa.Field(ge=0, le=1)
    compactness_error: float = pa.Field(ge=0, le=1)
    concavity_error: float = pa.Field(ge=0, le=1)
    concave_points_error: float = pa.Field(ge=0, le=1)
    symmetry_error: float = pa.Field(ge=0, le=1)
    fractal_dimension_error: float = pa.Field(ge=0, le=1)
    finding: int = pa.Field(isin=[0, 1])
    diagnosis: int = pa.Field(isin=[0, 1], nullable=True)
    own_patient: bool


class Carol(pa.DataFrameModel):
    """Mean of the three largest values of each measurement."""

    patient_id: str = pa.Field(str_matches=r"^P\d{4}$")
    worst_radius: float = pa.Field(gt=0, lt=200)
    worst_texture: float = pa.Field(gt=0, lt=200)
    worst_perimeter: float = pa.Field(gt=0, lt=2000)
    worst_area: float = pa.Field(gt=0, lt=20000)
    worst_smoothness: float = pa.Field(ge=0, le=1)
    worst_compactness: float = pa.Field(ge=0, le=3)
    worst_concavity: float = pa.Field(ge=0, le=3)
    worst_concave_points: float = pa.Field(ge=0, le=1)
    worst_symmetry: float = pa.Field(ge=0, le=1)
    worst_fractal_dimension: float = pa.Field(ge=0, le=1)
    finding: int = pa.Field(isin=[0, 1])
    diagnosis: int = pa.Field(isin=[0, 1], nullable=True)
    own_patient: bool
    confirmed: int = pa.Field(isin=[0, 1])
