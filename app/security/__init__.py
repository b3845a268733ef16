"""Who may do what: identity, scopes, limits and the record of it."""
