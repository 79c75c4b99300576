"""Wanted files against the files on disk, and the write."""
