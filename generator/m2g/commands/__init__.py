"""The verbs: each wires rooms together and returns a value; none prints, exits or knows click."""
