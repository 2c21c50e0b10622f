"""Columns of the engine as Django sees them."""

from __future__ import annotations

import json
from datetime import datetime
from typing import Any

from django import forms
from django.db import models
from django.db.models import lookups

from pyqueue.core.clock import from_datetime, to_datetime


class MomentField(models.BigIntegerField):  # type: ignore[misc]  # Django comes without types
    """A moment: microseconds in the database, an aware datetime here, also in filters."""

    def from_db_value(self, value: int | None, *_: Any) -> datetime | None:
        return None if value is None else to_datetime(value)

    def to_python(self, value: Any) -> Any:
        return to_datetime(value) if isinstance(value, int) else value

    def get_prep_value(self, value: Any) -> Any:
        if isinstance(value, datetime):
            return from_datetime(value)
        return super().get_prep_value(value)

    def formfield(self, **kwargs: Any) -> Any:
        return models.Field.formfield(self, **{"form_class": forms.DateTimeField, **kwargs})


class JsonTextField(models.TextField):  # type: ignore[misc]
    """JSON that the engine wrote as text: what it stands for here."""

    def from_db_value(self, value: Any, *_: Any) -> Any:
        return None if value is None else json.loads(value)

    def get_prep_value(self, value: Any) -> Any:
        return value if value is None or isinstance(value, str) else json.dumps(value)


class StoredJsonField(JsonTextField):
    """JSON in a column that is of the type json on PostgreSQL, where psycopg decodes it."""

    def from_db_value(self, value: Any, *given: Any) -> Any:
        return value if given[-1].vendor == "postgresql" else super().from_db_value(value, *given)


class StateField(models.SmallIntegerField):  # type: ignore[misc]
    """The state of a job. It is compared with a number that stands in the SQL, since indexes are for one state each.

    A planner uses an index `WHERE state = 5` only for a query that says so itself, and not for one with a parameter.
    """


@StateField.register_lookup
class LiteralState(lookups.Exact):  # type: ignore[misc]
    """`state = 5`."""

    def process_rhs(self, compiler: Any, connection: Any) -> Any:
        if self.rhs_is_direct_value():
            return str(int(self.rhs)), ()
        return super().process_rhs(compiler, connection)
