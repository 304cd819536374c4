"""Listing finished runs in a tracking server or store besides (``tracking=mlflow``)."""
