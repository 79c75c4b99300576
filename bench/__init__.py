"""`make bench` compares m2g with a naive peer and with the lowest possible times, on fleets of registered models."""
