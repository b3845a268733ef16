"""`python -m app bench`: this service measured beside others, with the same graph, machine, database server and hour."""
