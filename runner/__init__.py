"""SGB runner: declarative, policy-checked experiments with SecretFlow's secure gradient boosting.

Importing this package imports neither secretflow nor any data library, so that checking a spec stays fast.
"""

__version__ = "0.1.0"
