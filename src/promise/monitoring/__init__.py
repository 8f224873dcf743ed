"""From what happened to evidence: drift, joined labels, memory, alerts."""
