"""Check whether a serving runtime can load a model."""
