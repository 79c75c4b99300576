"""Everything that m2g asks of Git, by the real git."""
