"""What executing a plan needs: host values, seeded weights and inputs, kernels, the arena's program."""
