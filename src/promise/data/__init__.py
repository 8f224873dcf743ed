"""Lazy sources, their schema, and the rules that sample and split them."""
