"""The plan, and one file a stage. Every party's process runs the same stages in the same order on its own data."""
