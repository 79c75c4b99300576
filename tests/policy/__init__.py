"""Tests of CEL, and of the policies that are written in it."""
