"""Timed planning: where tensors live and when they are copied, so that the program ends soonest.

Axes of the arrays in this package:

    n  steps: the ops in program order
    m  storages, numbered as in `Problem`
    k  touches: a storage read or written at a step, by storage, then by step
    r  residencies of a layout
    q  copies in a queue

*Copy capacity* is a clock that runs while the bus is free to copy: its value before a step is how many seconds the bus
could have copied by then. The queue of copies is played in it.
"""
