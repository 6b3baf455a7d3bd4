"""Train the models of bundles."""
