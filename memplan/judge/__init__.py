"""Who decides about a plan: the checker, the simulator, what happens at each step and why."""
