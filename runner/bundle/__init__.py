"""A saved model: one part per party, and one manifest that is the same at all of them."""
