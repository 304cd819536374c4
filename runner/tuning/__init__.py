"""Searching for good settings: trials are the jobs of a sweep, and a party that gets the metrics leads."""
