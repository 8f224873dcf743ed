"""People to people: from everybody to the few that one person should meet."""
