"""Exact quotas per stratum: how many rows to take of each, and which."""
