"""Who obeys a plan: the executors, compared bit for bit with the reference."""
