"""The command line: commands, and the page of each step."""
