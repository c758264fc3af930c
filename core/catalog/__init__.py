"""Categories, products and SKUs, and what they are imported from."""
