"""Check the input files, the release records, and what the overlays build to."""
