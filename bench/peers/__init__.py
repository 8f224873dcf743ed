"""Scripts that run in the peers' own environments; none imports Promise."""
