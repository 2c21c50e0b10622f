"""Models that are only read."""

from __future__ import annotations

from typing import Any, NoReturn, cast

from django.db import models

from pyqueue.contrib.django.handle import current
from pyqueue.core.errors import InvalidState


class StoredSet(models.QuerySet):  # type: ignore[misc]  # Django comes without types
    """Rows that are only read."""

    def by_job_id(self, *job_ids: str) -> StoredSet:
        """The jobs with these ids. Raises ValidationError: one is no id."""
        keys = map(current().key_or_id, job_ids)
        return cast(StoredSet, self.filter(id__in=[key for key in keys if isinstance(key, int)]))

    def create(self, *_: Any, **__: Any) -> NoReturn:
        _refuse()

    bulk_create = bulk_update = get_or_create = update_or_create = update = delete = create


class Stored(models.Model):  # type: ignore[misc]
    """What the engine has written."""

    objects = StoredSet.as_manager()

    class Meta:
        abstract = True

    def save(self, *_: Any, **__: Any) -> NoReturn:
        """Refused."""
        _refuse()

    def delete(self, *_: Any, **__: Any) -> NoReturn:
        """Refused."""
        _refuse()


def _refuse() -> NoReturn:
    raise InvalidState(
        "the tables of pyqueue are written by its engine, which keeps counts, the log and the wake-ups in step; "
        "expected a call such as queue.push, queue.retry, queue.cancel or queue.delete."
    )
