"""Decide which version each environment runs, and write that as release records."""
