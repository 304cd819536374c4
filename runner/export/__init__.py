"""A model's parts in the formats of other programs, and the other way. Pure: no process, no network, no secretflow."""
