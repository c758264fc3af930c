"""What happens when something bought is given back: refunds, to the unit and the fen."""
