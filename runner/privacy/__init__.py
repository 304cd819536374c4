"""Differential privacy: what it costs, and the ledger of what each party has spent."""
