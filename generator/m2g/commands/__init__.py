"""The verbs. Each joins stages and returns a value. None of them prints, exits or uses click."""
