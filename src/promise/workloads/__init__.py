"""What is asked of a model: request, answer, label, split and metric."""
