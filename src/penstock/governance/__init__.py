"""Who may do what: policies, ownership, secrets."""
