"""A version served here as the cluster would: environment, server, questions, and the judgement of the answers."""
