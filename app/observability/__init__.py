"""Logs and metrics; never a word a user wrote."""
