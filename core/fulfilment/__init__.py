"""Fulfilment: accept, ship in parcels, receive, complete, release."""
