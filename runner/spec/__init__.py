"""The spec: what one run is, typed, checked and identified. Pure and fast: no data library, no secretflow."""
