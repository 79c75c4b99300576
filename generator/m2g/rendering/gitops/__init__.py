"""The files that Kustomize, Argo CD and Flux read."""
