"""What happened: predictions, labels, counts; also a source for retraining."""
