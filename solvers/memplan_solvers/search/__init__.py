"""The joint search over order and replacement: exact, beam and bound from one program."""
