"""Cases: what a buyer asks for after the purchase, what shop and market answer, and what silence means."""
