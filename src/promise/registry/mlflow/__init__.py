"""The bridge to MLflow: versions go there as runs and models, and its models come here."""
