"""Transactions decided on by what their entities did before: approve, review or decline."""
