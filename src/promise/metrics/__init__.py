"""How good an answer was, with intervals."""
