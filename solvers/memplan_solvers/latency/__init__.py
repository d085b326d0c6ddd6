"""The timed half: flat problems, XLA's memory space assignment, local search, bounds, an exact engine."""
