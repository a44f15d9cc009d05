"""How good a release is: datasets, scorers, statistics and the runs of an evaluation."""
