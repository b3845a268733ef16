"""What runs inside the cluster."""
