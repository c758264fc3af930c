"""The calendar of marketing activities: which plugin runs what on which SKUs, and when; campaigns that bind them."""
