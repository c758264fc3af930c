"""What a purchase and a page cost, in CPU and statements, beside the bare SQL of the same purchase. Run: `make bench`."""
