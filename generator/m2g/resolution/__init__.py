"""Facts of the registry become release records."""
