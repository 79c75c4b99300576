"""Serve a version as the cluster would: its environment, its server, the requests, and the comparison of answers."""
