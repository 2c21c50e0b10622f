"""In which order a worker looks at its queues."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from pyqueue.core import validate
from pyqueue.core.errors import ValidationError

WEIGHT_MAX: Final = 1_000


class Strict:
    """Always as they were named: the next queue only when those before it have nothing ready."""

    def __init__(self, queues: Sequence[str]) -> None:
        self.queues = tuple(queues)

    def order(self) -> tuple[str, ...]:
        return self.queues

    def note(self, claimed: Sequence[str]) -> None:
        """What was claimed changes nothing."""

    def __str__(self) -> str:
        return ", ".join(self.queues)


class Weighted:
    """By shares: with weights 3 and 1, three jobs of the one for each of the other while both have some.

    Stride scheduling: each job moves its queue on by 1/weight, and the queue that is furthest behind is looked at
    first. A queue that had nothing gets no credit for it, so it cannot keep the others waiting when it fills.
    """

    def __init__(self, weights: Mapping[str, int]) -> None:
        self.queues = tuple(weights)
        self._weights = {
            name: validate.integer(weight, f"the weight of queue {name!r}", 1, WEIGHT_MAX)
            for name, weight in weights.items()
        }
        self._passed = dict.fromkeys(self.queues, 0.0)
        self._now = 0.0

    def order(self) -> tuple[str, ...]:
        return tuple(sorted(self.queues, key=self._passed.__getitem__))

    def note(self, claimed: Sequence[str]) -> None:
        """The queues of jobs that were claimed in the order given last."""
        if not claimed:
            return
        self._now = max(self._now, min(self._passed[queue] for queue in claimed))
        for queue in self.queues:
            self._passed[queue] = max(self._passed[queue], self._now)
        for queue in claimed:
            self._passed[queue] += 1 / self._weights[queue]

    def __str__(self) -> str:
        return ", ".join(f"{name}={weight}" for name, weight in self._weights.items())


Turns = Strict | Weighted


def turns_of(queues: Sequence[str] | Mapping[str, int]) -> Turns:
    """A list of names is strict, a mapping of names to weights is weighted."""
    return Weighted(queues) if isinstance(queues, Mapping) else Strict(queues)


def parse(text: str) -> list[str] | dict[str, int]:
    """`emails,reports` in strict order, or `emails=3,reports=1` by weight.

    Raises:
        ValidationError: some have a weight and some have none, or one is no number.
    """
    parts = [part.strip() for part in text.split(",") if part.strip()]
    pairs = [part.partition("=") for part in parts]
    if not any(sign for _, sign, _ in pairs):
        return parts
    weights: dict[str, int] = {}
    for name, sign, weight in pairs:
        if not sign or not weight.strip().isdigit() or name.strip() in weights:
            raise ValidationError(
                f"queues {text!r}; expected names in order of preference (emails,reports), "
                "or each of them once with a weight (emails=3,reports=1)."
            )
        weights[name.strip()] = int(weight)
    return weights
