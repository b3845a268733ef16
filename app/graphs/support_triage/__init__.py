"""Support triage: answer from the documentation, and hand over to a person when that is not enough."""
