"""Tests of the schemas and of what is said about an object that breaks them."""
