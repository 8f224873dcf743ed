"""Where work runs: local processes under a memory watch; a cluster later, by the same verbs."""
