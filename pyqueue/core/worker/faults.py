"""Errors that no thread of a worker expects. A worker that went on without the thread would only look alive."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable

log = logging.getLogger(__name__)

OnFault = Callable[[BaseException], None]


def thread(name: str, run: Callable[[], None], on_fault: OnFault) -> threading.Thread:
    """A daemon, not started yet; an error that `run` lets out is logged and handed to `on_fault`."""

    def guarded() -> None:
        try:
            run()
        except BaseException as error:
            on_fault(error)
            log.exception("the worker ends: one of its threads cannot go on", extra={"thread_name": name})

    return threading.Thread(target=guarded, name=name, daemon=True)
