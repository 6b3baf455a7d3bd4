"""Plans: steps by name, read from and written to files."""
