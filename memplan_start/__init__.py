"""The program's first step, which imports nothing: whoever interrupts while memplan is imported gets no traceback."""

import os

INTERRUPTED = 130


def main() -> int:
    """Run `memplan`; its exit status."""
    leave_when_interrupted()
    import signal

    from memplan.cli import main as run

    status = run()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # all is said and written
    return status


def leave_when_interrupted() -> None:
    """Have Ctrl-C end this process at once, unless whoever started it has it ignored.

    Not by a KeyboardInterrupt, which the imports of extensions turn into other errors or lose.
    """
    try:
        import signal

        if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
            signal.signal(signal.SIGINT, _leave)
    except KeyboardInterrupt:
        _leave()


def _leave(*_: object) -> None:
    try:
        os.write(2, b"interrupted\n")
    finally:
        os._exit(INTERRUPTED)
