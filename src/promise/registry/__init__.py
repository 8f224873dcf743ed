"""Names, versions and their history."""
