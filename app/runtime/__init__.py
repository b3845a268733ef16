"""Running graphs with their state kept: database, checkpoints, leases, execution."""
