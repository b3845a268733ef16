"""What a checkout needs besides Python packages: its environment, and the pinned binaries it finds or makes."""
