"""A party's columns made numeric and complete: fitted on its training rows, kept as plain JSON, applied to any rows."""
