"""Models and the files that hold their weights; torch is imported only where a network is built."""
