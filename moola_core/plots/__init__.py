"""Pictures of a trained model and its data."""
