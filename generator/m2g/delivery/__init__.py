"""Bring what the registry says to a reviewer: proposals, their branches and pull requests."""
