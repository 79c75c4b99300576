"""m2g: facts of an MLflow model registry become a Git repository that Argo CD or Flux apply."""
