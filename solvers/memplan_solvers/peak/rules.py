"""The rules of the search for the least peak."""

from __future__ import annotations

RULES = frozenset({"shrink", "path", "visited", "jump", "certain", "backward", "contracted", "articulation"})
"""What makes the search fast; each may be left out without changing a result (the tests do).

shrink        a ready op that fits and leaves no more bytes live than before is executed at once
path          so is a chain of ops, each enabled by the one before, up to its first return to the live bytes it began with
visited       a set of executed ops that failed once is not tried again
jump          a failed search proves the least transient it cut off, not just one byte more than its limit
certain       the search begins at what is live at some step under every order
contracted    an op that works in place on what the op before it wrote, and nobody else wants, goes with that one
articulation  what was done before a set of executed ops that every order comes through is not done again in another order
backward      a search that takes long is tried from the other end too, last op first: one may need a thousandth of the
              other

The two safe moves rest on submodularity: for Q the ops moved to the front of a completion of D, and any part P of that
completion, live(D+P+Q) <= live(D+P) + live(D+Q) - live(D+(P and Q)), and no part of Q has fewer live bytes than
Q. The transient of an op that comes later obeys the same inequality, since its operands only count as live
throughout. Working in place needs more ops executed before, never fewer, so forwards it is never lost by a safe move;
backwards the moves that could lose it are not made. Turning time round leaves live bytes and inequality as they are.
"""
