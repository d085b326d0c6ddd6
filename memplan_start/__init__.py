"""The program's first step, which imports nothing: whoever interrupts while memplan is imported gets no traceback."""

import sys

INTERRUPTED = 130


def main() -> int:
    """Run `memplan`; its exit status."""
    try:
        from memplan.cli import main as run

        return run()
    except KeyboardInterrupt:
        print("interrupted before there was a plan", file=sys.stderr)
        return INTERRUPTED
