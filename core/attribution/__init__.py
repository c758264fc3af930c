"""Where buyers come from: visits under a pseudonym, the first and the last touch, and the source that a purchase carries."""
