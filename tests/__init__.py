"""The tests of m2g."""
