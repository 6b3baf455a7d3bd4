"""Inputs of a plan: find the files, read their contents, normalise weights, and read parts of them."""
