"""Any table → a class or a number."""
