"""`make bench` compares m2g with the lowest possible times and with other tools, on fleets of registered models."""
