"""Answers over HTTP: a raw lane for predictions, FastAPI for everything else."""
