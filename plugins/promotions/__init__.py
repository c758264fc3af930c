"""Promotions: limited-time prices, N-th item, bundles, gifts, full reduction, free shipping."""
