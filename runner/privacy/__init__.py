"""Differential privacy: what noise is drawn, how it is kept, and what it costs."""
