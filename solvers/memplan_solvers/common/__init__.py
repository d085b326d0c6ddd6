"""What the solvers share: arrays and their shapes, and the best-fit hole."""
