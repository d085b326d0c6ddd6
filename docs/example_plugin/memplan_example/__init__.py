"""A solver, a target and a model of one's own for memplan."""
