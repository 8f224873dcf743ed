"""Promise: models that keep their promises, from two hundred rows to a billion."""
