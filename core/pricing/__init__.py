"""The pure price engine: one function from a basket and rules to a quote."""
