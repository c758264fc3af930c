"""Flash sales: few pieces, a low price, a short time."""
