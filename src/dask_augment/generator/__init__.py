"""Events to work on where there are none: Pythia 8, a parametric detector, and NanoAOD-like files."""
