"""Frozen structs handed from stage to stage. Amounts are integers in fen; nothing here does I/O."""
