"""Integer programs: the paper's time-indexed formulation, and the per-gap model of a fixed order."""
