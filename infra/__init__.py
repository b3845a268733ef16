"""What is provisioned: one component a file, fed by frozen settings."""
