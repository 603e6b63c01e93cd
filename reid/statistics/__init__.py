"""Which difference two groups of runs show, and how sure one can be: plain arrays in, numbers out."""
