"""How much of which meter a resource uses. One module per kind of service."""
