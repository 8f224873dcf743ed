"""Measurements of speed, memory and quality on real data, each beside a peer in the same run."""
