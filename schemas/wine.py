"""Contracts of `data=wine`: 178 wines of three cultivars from one region, thirteen measurements, three laboratories.

Source: M. Forina et al., "PARVUS" (1991; UCI machine learning repository), as it comes with scikit-learn.
"""

import pandera.polars as pa


class Alice(pa.DataFrameModel):
    """Acids, ash and alcohol."""

    wine: str
    alcohol: float = pa.Field(ge=0, le=100)
    malic_acid: float = pa.Field(ge=0)
    ash: float = pa.Field(ge=0)
    alcalinity_of_ash: float = pa.Field(ge=0)
    magnesium: float = pa.Field(ge=0)


class Bob(pa.DataFrameModel):
    """Phenols."""

    wine: str
    total_phenols: float = pa.Field(ge=0)
    flavanoids: float = pa.Field(ge=0)
    nonflavanoid_phenols: float = pa.Field(ge=0)
    proanthocyanins: float = pa.Field(ge=0)


class Carol(pa.DataFrameModel):
    """Colour and proline, and the cultivar."""

    wine: str
    color_intensity: float = pa.Field(ge=0)
    hue: float = pa.Field(ge=0)
    od280_od315_of_diluted_wines: float = pa.Field(ge=0)
    proline: float = pa.Field(ge=0)
    cultivar: str
