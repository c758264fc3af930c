"""Core's migration history."""
