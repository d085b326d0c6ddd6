"""Comparisons: every solver on every model at every budget, each case in a process of its own."""
