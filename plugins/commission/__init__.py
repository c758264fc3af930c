"""The market's commission: one flat rate."""
