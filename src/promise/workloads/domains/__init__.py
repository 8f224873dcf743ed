"""Names of hosts and domains: which app, which category, or nothing that is known."""
