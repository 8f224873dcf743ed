"""Train, evaluate, predict and compare."""
