"""Training of the models that bundles hold."""
