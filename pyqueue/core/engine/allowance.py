"""What may be handed out of a limited queue now, and when more may be.

Keys that may run nothing now are passed over without looking at their jobs: a claim costs a look at each
waiting key, not at each waiting job. What goes first is as ever: priority, then turn (the keys of a queue take turns),
then age.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from pyqueue.core.store import breaker, claim, keyed, limits
from pyqueue.core.store.breaker import Breaker
from pyqueue.core.store.claim import ReadyRow
from pyqueue.core.store.limits import EACH_KEY, HAS_BREAKER, HAS_KEYS, KEY, PULLS, Limit
from pyqueue.core.store.transaction import Transaction

# Jobs read in their order before the keys are looked at one by one: mostly enough, unless a key has flooded the queue.
_LOOK_AHEAD: Final = 32


class Budget:
    """How much one limit still allows at this moment."""

    __slots__ = ("_full_us", "_limit", "left", "taken")

    def __init__(self, limit: Limit | None, taken: int, full_us: int | None, now_us: int) -> None:
        self._limit, self.taken, self._full_us = limit, taken, full_us
        left = [] if limit is None or limit.concurrency is None else [limit.concurrency - taken]
        if limit is not None and limit.rate is not None:
            left.append(limit.rate.free(full_us, now_us))
        self.left: float = max(0, min(left)) if left else float("inf")

    @property
    def due_us(self) -> int | None:
        """When the next token will be there, where tokens are all that lacks."""
        limit = self._limit
        if self.left or limit is None or limit.rate is None or self._full_us is None or self.lacks_slots:
            return None
        return limit.rate.next_us(self._full_us)

    @property
    def lacks_slots(self) -> bool:
        """Whether as many runs as allowed are under way."""
        return self.concurrency is not None and self.taken >= self.concurrency

    @property
    def concurrency(self) -> int | None:
        """How many runs it allows at once."""
        return None if self._limit is None else self._limit.concurrency


class Budgets:
    """All limits of a queue at one moment."""

    def __init__(self, tx: Transaction, rules: Sequence[Limit], queue: str) -> None:
        self.now_us = tx.now_us
        self._rules = {(rule.kind, rule.limit_key): rule for rule in rules}
        self._taken = limits.taken(tx, queue) if any(rule.concurrency for rule in self._rules.values()) else {}
        self._full = limits.buckets(tx, queue) if any(rule.rate for rule in self._rules.values()) else {}
        self._of_keys: dict[str, Budget] = {"": Budget(None, 0, None, self.now_us)}
        self.of_queue = Budget(
            self._rules.get((PULLS, "")), sum(self._taken.values()), self._full.get((PULLS, "")), self.now_us
        )

    def rule_of(self, limit_key: str) -> Limit | None:
        """The limit of a key: its own, or the one for each."""
        return self._rules.get((KEY, limit_key)) or self._rules.get((EACH_KEY, "")) if limit_key else None

    def of_key(self, limit_key: str) -> Budget:
        budget = self._of_keys.get(limit_key)
        if budget is None:
            taken, full_us = self._taken.get(limit_key, 0), self._full.get((KEY, limit_key))
            budget = self._of_keys[limit_key] = Budget(self.rule_of(limit_key), taken, full_us, self.now_us)
        return budget

    def spent(self, queue: str, keys: Sequence[str]) -> list[tuple[str, int, str, int]]:
        """The buckets after jobs of these keys were handed out, as rows to store."""
        uses = [(PULLS, "", self._rules.get((PULLS, "")), len(keys))]
        uses += [(KEY, key, self.rule_of(key), keys.count(key)) for key in sorted(set(keys))]
        return [
            (queue, kind, key, rule.rate.after(self._full.get((kind, key)), self.now_us, number))
            for kind, key, rule, number in uses
            if rule is not None and rule.rate is not None
        ]

    def due_us(self, keys: Sequence[str]) -> int | None:
        """When the first of these keys gets a token."""
        return min((due for key in keys if (due := self.of_key(key).due_us) is not None), default=None)


def allowed(tx: Transaction, queue: str, wanted: int, budgets: Budgets) -> tuple[list[ReadyRow], list[str]]:
    """Up to `wanted` jobs that no limit holds, in order, and the key of each; to be handed out in this transaction."""
    flags = tx.queue(queue).limits
    if flags & HAS_BREAKER:
        wanted, _ = _through_breaker(tx, queue, wanted, breaker.hold(tx, queue))
    number = int(min(wanted, budgets.of_queue.left))
    if not number:
        return [], []
    if not flags & HAS_KEYS:
        rows = claim.ready(tx, queue, number)
        return rows, [""] * len(rows)
    taken = _walk(tx, queue, number, budgets)
    if taken is None:
        taken = _by_keys(tx, queue, number, budgets)
    return [row for _, row in taken], [key for key, _ in taken]


def next_pull_us(tx: Transaction, queue: str) -> int | None:
    """When a limited queue may hand out a job: now, later, or (None) not before something happens. Reads only."""
    flags, budgets = tx.queue(queue).limits, Budgets(tx, limits.of_queue(tx, queue), queue)
    if flags & HAS_BREAKER:
        lets_through, until_us = _through_breaker(tx, queue, 1, breaker.of_queue(tx, queue))
        if not lets_through:
            return until_us
    if not budgets.of_queue.left:
        return budgets.of_queue.due_us
    if not flags & HAS_KEYS:
        return tx.now_us if claim.look(tx, [queue])[0] else None
    keys = keyed.look(tx, queue, _LOOK_AHEAD)
    if len(keys) == _LOOK_AHEAD and not any(budgets.of_key(key).left for key in keys):
        keys = keyed.keys_in_turn(tx, queue)
    return tx.now_us if any(budgets.of_key(key).left for key in keys) else budgets.due_us(keys)


def _through_breaker(tx: Transaction, queue: str, wanted: int, found: Breaker | None) -> tuple[int, int | None]:
    """How many jobs the breaker lets through: all, none until a moment, or one as a trial."""
    if found is None or found.open_until_us is None:
        return wanted, None
    if tx.now_us < found.open_until_us:
        return 0, found.open_until_us
    is_tried = breaker.trial(tx, queue, found.open_until_us) is not None
    return 0 if is_tried else min(wanted, 1), None


def _walk(tx: Transaction, queue: str, number: int, budgets: Budgets) -> list[tuple[str, ReadyRow]] | None:
    """The first jobs in their order, without those that are held; None if that was not enough."""
    ready = keyed.ready(tx, queue, number + _LOOK_AHEAD)
    left: dict[str, float] = {}
    taken: list[tuple[str, ReadyRow]] = []
    for key, row in ready:
        left.setdefault(key, budgets.of_key(key).left)
        if left[key] >= 1 and len(taken) < number:
            left[key] -= 1
            taken.append((key, row))
    return taken if len(taken) == number or len(ready) < number + _LOOK_AHEAD else None


def _by_keys(tx: Transaction, queue: str, number: int, budgets: Budgets) -> list[tuple[str, ReadyRow]]:
    """The same through the keys: the best `number` jobs are among those of the first `number` keys that may run."""
    free = [key for key in keyed.keys_in_turn(tx, queue) if budgets.of_key(key).left >= 1][:number]
    candidates = [
        (key, row) for key in free for row in keyed.ready_of(tx, queue, key, int(min(number, budgets.of_key(key).left)))
    ]
    return sorted(candidates, key=lambda each: claim.place(each[1]))[:number]
