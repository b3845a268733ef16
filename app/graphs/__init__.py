"""LangGraph graphs, pure: they know nothing of HTTP, storage or the service's settings."""
