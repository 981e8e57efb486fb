"""Signals of programs that tests start and stop."""

import signal


def default_signals() -> None:
    """For ``preexec_fn``: what a shell starts with ``&`` ignores SIGINT, and so does all that it starts."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)
