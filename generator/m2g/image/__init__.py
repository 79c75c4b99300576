"""Build contexts of serving images."""
