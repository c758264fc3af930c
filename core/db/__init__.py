"""PostgreSQL: engine, transactions, scopes, table classes, migrations. Everything goes through `Tx`."""
