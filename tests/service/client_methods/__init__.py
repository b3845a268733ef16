"""Every public method of langgraph-sdk's clients with a call that shows what this service makes of it."""
