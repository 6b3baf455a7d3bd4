"""Whether a model holds for events that it was not trained on."""
