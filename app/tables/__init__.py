"""SQL, one module per table; every function takes the connection of its caller."""
