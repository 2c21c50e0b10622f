"""Runs several commands as one, for development: `python together.py "first command" "second command"`.

When one of them ends, or Ctrl-C is pressed, all end. Their output appears as it comes. In production each is a
service of its own.
"""

from __future__ import annotations

import os
import shlex
import signal
import subprocess
import sys
from collections.abc import Sequence
from types import FrameType
from typing import Final, NoReturn

_GRACE_SECONDS: Final = 10
_ENDS: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def main(commands: Sequence[str]) -> int:
    """Runs the commands until the first has ended, and gives its exit code."""
    for each in _ENDS:
        signal.signal(each, _stop)
    # Groups of their own: a signal reaches what a command has started itself, too, and each once.
    running = [subprocess.Popen(shlex.split(command), start_new_session=True) for command in commands]
    try:
        return os.waitstatus_to_exitcode(os.wait()[1])
    finally:
        _end(running)


def _stop(_: int, __: FrameType | None) -> NoReturn:
    raise SystemExit(0)


def _end(running: Sequence[subprocess.Popen[bytes]]) -> None:
    for each in _ENDS:
        signal.signal(each, signal.SIG_IGN)
    for signum in (signal.SIGINT, signal.SIGKILL):
        for process in running:
            _signal(process, signum)
        for process in running:
            try:
                process.wait(_GRACE_SECONDS)
            except subprocess.TimeoutExpired:
                break
        else:
            return


def _signal(process: subprocess.Popen[bytes], signum: int) -> None:
    try:
        os.killpg(process.pid, signum)
    except ProcessLookupError:
        pass  # It has ended, with all that it has started.


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
