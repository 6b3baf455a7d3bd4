"""Generate events: Pythia 8, a parametric detector, and NanoAOD-like files."""
