"""What two groups of runs say, and how sure one can be of it: plain arrays in, numbers out."""
