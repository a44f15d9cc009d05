"""Whether a release is not worse than production: pure functions over numbers, without input or output.

Libraries (scipy, statsmodels, krippendorff) are imported inside the functions that need them, so that a run of an
evaluation stays small; what a run itself needs (`betting`, `sequential`, `tango`) is plain Python. See
docs/design/statistics.md.
"""
