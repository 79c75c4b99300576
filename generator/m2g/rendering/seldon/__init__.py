"""The objects of a model that Seldon Core serves."""
