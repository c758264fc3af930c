"""Stock: what is there, what is reserved, and a journal of every move."""
