"""Array mathematics by subject: NumPy and numba alone, nothing of awkward, Dask, coffea or pandas."""
