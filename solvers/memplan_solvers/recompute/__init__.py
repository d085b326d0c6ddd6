"""`recompute`: ops executed again so that nothing has to be spilled, by annealing and by programs over cuts."""
