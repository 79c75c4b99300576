"""Release and settings become KServe's objects."""
