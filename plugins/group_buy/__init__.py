"""Group-buying (拼团): a low price for those who fill a group in time."""
