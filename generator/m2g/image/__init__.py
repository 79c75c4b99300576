"""Build contexts for serving images."""
