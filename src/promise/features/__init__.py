"""Features declared once: fitted transforms and event state."""
