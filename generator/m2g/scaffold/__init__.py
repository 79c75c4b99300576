"""Create GitOps repositories from a Copier template."""
