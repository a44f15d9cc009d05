"""The context budget: what of a long conversation goes to the model."""
