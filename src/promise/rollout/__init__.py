"""From a version to what is live: the gate, the state machine, the reconciler."""
