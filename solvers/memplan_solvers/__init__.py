"""memplan's own solvers, found by the core through entry points exactly as anybody else's would be."""
