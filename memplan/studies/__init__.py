"""Many plans at once: comparisons of solvers, capacity against cost."""
