"""``fit_resample(X, y)``, as imbalanced-learn's samplers have it: over our samplers, and of its samplers by stratum."""
