"""Validate a model on events that it was not trained on."""
