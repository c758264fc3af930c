"""The worker: relays events and timers to dramatiq and runs them."""
