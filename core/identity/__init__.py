"""Accounts, sign-in, staff, addresses, audit."""
