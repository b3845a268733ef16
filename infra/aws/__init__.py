"""What runs on AWS itself."""
