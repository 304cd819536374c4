"""Differential privacy: noise, how it is kept, what it costs, and the ledger of what each party has spent."""
