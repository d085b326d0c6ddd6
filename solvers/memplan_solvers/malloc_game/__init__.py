"""The mallocGame (after mallocMuZero, arXiv 2305.07440): its rules, its Gymnasium environment, its players.

Axes of the arrays in this package:

    storages     numbered as in `Problem`
    steps        the ops in program order
    moves        touches of a storage that may be placed, in program order
    groups       chains of in-place pairs: their members share an offset, or are all produced in host
    residencies  at most one a move and a storage; so are copies
    words        of eight bytes, that a game's state is kept in
    lines        of the log by which moves are undone

Of networks: `inputs`, `hidden`, `outputs` for the layers' widths, `rows` for moves or touches to learn from.
"""
