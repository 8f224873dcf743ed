"""From a table to a recommended model, a report and code that runs alone."""
