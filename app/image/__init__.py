"""What only the building of an image needs."""
