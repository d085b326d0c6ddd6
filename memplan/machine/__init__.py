"""Targets: memories and rates of a machine; presets with a source for every number."""
