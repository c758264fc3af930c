"""The sandbox: a payment service to try things with, as a server of its own with its own books (`docs/purchase.md`).

It stands for an outside one, so it imports nothing but `core.kit`, and what it and a market tell each other is signed and
goes over HTTP. Amounts in fen.
"""
