"""What `jishi` does on the command line: run everything, or one process; look after plugins and the ledger."""
