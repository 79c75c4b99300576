"""Findings about what people wrote, the records, and what the overlays build to."""
