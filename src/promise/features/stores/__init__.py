"""Places that keep event state: in process, SQLite, Postgres and Redis, with one conduct."""
