"""Which plugins are on, with which config; changing that in running processes."""
