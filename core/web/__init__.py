"""The HTTP edge: app factory, unit of work, sign-in, problem details, limits."""
