"""The checker: a module a kind of rule. It shares no code with a solver."""
