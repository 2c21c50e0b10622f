"""Steps: parts of a job whose results are kept, so that a retry goes on behind them."""

from __future__ import annotations

from typing import ClassVar

from msgspec import Struct

from pyqueue.core import limits
from pyqueue.core.engine.finish import Ref, refusal, require_run
from pyqueue.core.errors import ValidationError
from pyqueue.core.store import steps
from pyqueue.core.store.transaction import Transaction


def kept(tx: Transaction, ref: Ref, name: str) -> str | None:
    """The JSON that a step gave in this run or an earlier one; None if it is still to be done.

    Raises:
        JobNotFound, InvalidState, LeaseLost: the run is over, so the step must not be done for it.
    """
    key = ref.key(tx)
    require_run(tx, key, ref)
    return steps.result_of(tx, key, name)


class Keep(Struct, frozen=True):
    """Keeps what a step gave; gives what is kept, which another call of the same step may have brought before.

    Raises:
        JobNotFound, InvalidState, LeaseLost. ValidationError: the job has too many steps.
    """

    ref: Ref
    name: str
    result: str

    durable: ClassVar[bool] = True

    def run(self, tx: Transaction) -> str:
        key = self.ref.key(tx)
        if steps.count(tx, key) >= limits.STEPS_MAX:
            raise ValidationError(
                f"job {self.ref.id(tx)} has {limits.STEPS_MAX:,} steps; expected at most so many. "
                "Take larger steps, or push a job for each part."
            )
        if not steps.hold(tx, key, self.ref.lease):
            raise refusal(tx, key, self.ref)
        return steps.keep(tx, key, self.name, self.result)
