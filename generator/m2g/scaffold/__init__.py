"""The real copier: a new GitOps repository from the template."""
