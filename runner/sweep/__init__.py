"""Several runs as the jobs of one sweep: their numbers and identities, their order, what is shown of them together."""
