"""Release records and settings become files."""
