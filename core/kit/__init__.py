"""Pure helpers: money, ids, clock, errors, text, geo. Nothing here does I/O."""
