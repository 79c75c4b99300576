"""Whether a serving runtime can load a model."""
