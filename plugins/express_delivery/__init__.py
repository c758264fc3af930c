"""Express delivery: a flat fee per shop, and a look at every waybill that leaves."""
