"""Everything that learns: frozen configurations that fit, and what fitting returns."""
