"""Turn release records and settings into files."""
