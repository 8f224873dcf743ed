"""Four stages from request to answer, and the folder they are kept in."""
