"""The real git."""
