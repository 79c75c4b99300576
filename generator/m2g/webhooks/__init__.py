"""Receive webhooks: who sent one, an HTTP server with bounds, and metrics."""
