"""How a problem is given to a solver: plug-ins, limits, reference capacities, the conformance suite."""
