"""Tensors, ops, graphs and loaded models: no op is known by name, no file is read."""
