"""One HTML file about some runs: what they found, how they differ, and pictures to look at."""
