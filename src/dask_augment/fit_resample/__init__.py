"""``fit_resample(X, y)`` of imbalanced-learn: for the samplers here, and for imbalanced-learn's by stratum."""
