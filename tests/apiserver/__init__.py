"""What the schemas promise, held against a real Kubernetes API server (`make apiserver`)."""
