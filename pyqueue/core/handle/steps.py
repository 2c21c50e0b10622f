"""`once`: parts of a job that a retry does not repeat."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from types import SimpleNamespace
from typing import Any, ParamSpec, TypeVar, cast, get_type_hints

import msgspec

from pyqueue.core import limits, validate
from pyqueue.core.engine.intervene import require_job
from pyqueue.core.engine.steps import Keep, kept
from pyqueue.core.errors import ConfigError, ValidationError
from pyqueue.core.handle.refs import JobOrId, job_id, ref_of
from pyqueue.core.handle.runtime import Runtime
from pyqueue.core.job import Job, StepResult
from pyqueue.core.store import steps

P = ParamSpec("P")
R = TypeVar("R")


class Stepping:
    """The part of a handle that keeps the results of steps with their job."""

    _runtime: Runtime

    def once(self, job: Job, step: str, function: Callable[P, R], /, *args: P.args, **kwargs: P.kwargs) -> R:
        """Calls the function, keeps its result with the job, and gives it; where it is kept already, only gives it.

        `step` names the part of the job, up to 256 bytes. The result is JSON: what is given is always what was
        read back, along the function's return annotation, so it is the same in every attempt. It is
        on disk when this returns. A function that raises leaves nothing behind and runs again in the next attempt,
        and so does one whose process dies before its result is kept: hand `job.id` on as an idempotency key
        where that matters. What is kept stays for as long as the job, also when it is retried from the dead letters.

        Raises:
            ValidationError: the result has no JSON form, or the job has 1,000 steps already.
            LeaseLost, InvalidState, JobNotFound: the run is over; looked at before the call and after it.
        """
        form = StepForm(step, function)
        result = self._runtime.read(lambda tx: kept(tx, ref_of(job), step))
        if result is None:
            result = self._runtime.write(Keep(ref_of(job), step, form.encoded(function(*args, **kwargs))))
        return cast(R, form.decoded(result))

    async def aonce(
        self, job: Job, step: str, function: Callable[P, Awaitable[R]], /, *args: P.args, **kwargs: P.kwargs
    ) -> R:
        """`once` for event loops and coroutine functions."""
        form = StepForm(step, function)
        result = await self._runtime.aread(lambda tx: kept(tx, ref_of(job), step))
        if result is None:
            result = await self._runtime.awrite(Keep(ref_of(job), step, form.encoded(await function(*args, **kwargs))))
        return cast(R, form.decoded(result))

    def steps(self, job: JobOrId) -> list[StepResult]:
        """The steps of a job that are done, in the order in which they were."""
        return self._runtime.read(lambda tx: steps.all_of(tx, require_job(tx, job_id(job)).key))

    async def asteps(self, job: JobOrId) -> list[StepResult]:
        """`steps` for event loops."""
        return await self._runtime.aread(lambda tx: steps.all_of(tx, require_job(tx, job_id(job)).key))


class StepForm:
    """The stored form of what a step gives."""

    def __init__(self, step: object, function: Callable[..., Any]) -> None:
        self._step = validate.text(step, "step name", limits.LABEL_BYTES_MAX)
        try:
            hint = _return_hint(function)
            msgspec.json.schema(hint)  # Refuses what could be encoded and then not be read back.
            self._decoder = msgspec.json.Decoder(hint)
        except (NameError, TypeError) as error:
            raise ConfigError(
                f"step {step!r}: the return annotation of its function cannot be read back from JSON ({error}); "
                "expected a type that msgspec decodes, known where the function is defined."
            ) from error

    def encoded(self, result: Any) -> str:
        """The result as JSON.

        Raises:
            ValidationError: it has none, or could not be read back.
        """
        try:
            text = validate.json_text(result, "its result", limits.RESULT_BYTES_MAX)
            self._decoder.decode(text)
        except (ValidationError, msgspec.ValidationError) as error:
            raise ValidationError(
                f"step {self._step!r} has run, but its result cannot be kept, so a retry will run it again: {error}"
            ) from error
        return text

    def decoded(self, text: str) -> Any:
        """What was kept, as the function's annotation says.

        Raises:
            ValidationError: an earlier version of the function left something else behind.
        """
        try:
            return self._decoder.decode(text)
        except msgspec.ValidationError as error:
            raise ValidationError(
                f"step {self._step!r} has kept a result that its function does not give any more ({error}); "
                "give the step another name when its result changes."
            ) from error


def _return_hint(function: Callable[..., Any]) -> Any:
    """What the function says that it returns; anything, if it says nothing. Its parameters are not looked at."""
    annotation = getattr(function, "__annotations__", {}).get("return", Any)
    stand_in = SimpleNamespace(__annotations__={"return": annotation})
    return get_type_hints(stand_in, globalns=getattr(function, "__globals__", {}), include_extras=True)["return"]
