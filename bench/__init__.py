"""m2g against a naive peer and against floors, on fleets of registered models: `make bench`."""
