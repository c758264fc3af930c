"""What effects, timers and outside calls are waiting, failing or given up, and what the operator does about it."""
