"""The database, the artifact store and the files they share; each room owns its tables."""
