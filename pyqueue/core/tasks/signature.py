"""The parameters of a function as the fields of a JSON object."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Collection, Mapping, Sequence
from functools import cached_property
from typing import Any, Final, Union, get_type_hints

import msgspec

from pyqueue.core.errors import ConfigError, ValidationError
from pyqueue.core.tasks.context import JobContext

_NAMED: Final = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
# How msgspec says where in the object a value does not fit.
_WHERE: Final = re.compile(r"^(?P<what>.*) - at `\$\.?(?P<path>[^`]*)`$")
_encode: Final = msgspec.json.Encoder().encode


class Signature:
    """Binds calls of a function to JSON, and JSON back to arguments, along its annotations.

    What msgspec encodes and decodes is supported: numbers, strings, datetime, UUID, Decimal, Enum, dataclasses,
    structs, TypedDicts, lists, dicts and unions of them. A parameter without annotation takes any JSON.

    Raises:
        ConfigError: a parameter has no name in a call (`*args`, `**kwargs`, positional-only), or a type
            without JSON form.
    """

    def __init__(self, function: Callable[..., Any], task_name: str) -> None:
        self._function, self._task_name = function, task_name
        self._signature = inspect.signature(function)
        for parameter in self._signature.parameters.values():
            if parameter.kind not in _NAMED:
                raise ConfigError(
                    f"task {task_name!r} has the parameter {str(parameter)!r}; expected parameters with a name each, "
                    "since arguments are stored by name. Take a list or a dict instead."
                )
        try:
            self._decoder  # noqa: B018  # made now, so that a type without JSON form is refused at once
        except NameError:
            return  # An annotation that is defined further down: it is looked at when first needed.

    @cached_property
    def _hints(self) -> dict[str, Any]:
        return get_type_hints(self._function, include_extras=True)

    @cached_property
    def context_name(self) -> str | None:
        """The parameter that takes the `JobContext`, if there is one."""
        return next((name for name in self._signature.parameters if self._hints.get(name) is JobContext), None)

    @cached_property
    def result_type(self) -> Any:
        """What the function says that it returns."""
        return self._hints.get("return", Any)

    @cached_property
    def _bindable(self) -> inspect.Signature:
        parameters = self._signature.parameters
        return self._signature.replace(
            parameters=[
                parameter.replace(annotation=self._hints.get(name, parameter.empty))
                for name, parameter in parameters.items()
                if name != self.context_name
            ],
            return_annotation=inspect.Signature.empty,
        )

    @cached_property
    def _decoder(self) -> msgspec.json.Decoder[Any]:
        return self._decoder_without(())

    def _decoder_without(self, bound: Collection[str]) -> msgspec.json.Decoder[Any]:
        """For the arguments, but for those that are known only later."""
        fields: list[Any] = []
        for name, parameter in self._bindable.parameters.items():
            hint = self._hints.get(name, Any)
            if name in bound:
                continue
            if parameter.default is parameter.empty:
                fields.append((name, hint))
            else:  # The function's own default applies, whatever it is.
                fields.append((name, Union[hint, msgspec.UnsetType], msgspec.UNSET))  # noqa: UP007  # a hint may be a text
        try:
            model = msgspec.defstruct("Arguments", fields, forbid_unknown_fields=True, kw_only=True)
            msgspec.json.schema(model)  # Also refuses classes that could be checked but not made from JSON.
            return msgspec.json.Decoder(model)
        except TypeError as error:
            raise ConfigError(
                f"task {self._task_name!r} has a parameter that cannot be stored as JSON ({error}); "
                "expected types that msgspec decodes. In place of an object of a database, take its primary key."
            ) from error

    def arguments_of(self, args: Sequence[Any], kwargs: Mapping[str, Any]) -> dict[str, Any]:
        """The arguments of a call by name, checked as the worker will see them.

        Raises:
            ValidationError: the call does not fit; the message names the parameter.
        """
        return self.checked(self.bound(args, kwargs))

    def checked(self, arguments: dict[str, Any], bound: Collection[str] = ()) -> dict[str, Any]:
        """Arguments by name, checked as the worker will see them; those in `bound` are not among them yet.

        Raises:
            ValidationError: one does not fit; the message names the parameter.
        """
        try:
            encoded = _encode(arguments)
        except (TypeError, ValueError, OverflowError, RecursionError) as error:
            raise ValidationError(
                f"task {self._task_name!r}: an argument has no JSON form ({error}); expected a call that fits "
                f"{self._bindable}. In place of an object of a database, pass its primary key."
            ) from error
        self._decode(encoded, self._decoder_without(frozenset(bound)) if bound else self._decoder)
        return arguments

    def bound(self, args: Sequence[Any], kwargs: Mapping[str, Any]) -> dict[str, Any]:
        """The arguments of a call by name, as they are. Raises ValidationError: they are too many, or too few."""
        try:
            return self._bindable.bind(*args, **kwargs).arguments
        except TypeError as error:
            raise ValidationError(
                f"task {self._task_name!r}: {error}; expected a call that fits {self._bindable}."
            ) from error

    def decoded(self, data_json: str) -> dict[str, Any]:
        """The arguments in the data of a job, whoever has pushed it; null stands for none.

        Raises:
            ValidationError: they do not fit the function; the message names the parameter.
        """
        return self._decode(b"{}" if data_json == "null" else data_json.encode(), self._decoder)

    def _decode(self, encoded: bytes, decoder: msgspec.json.Decoder[Any]) -> dict[str, Any]:
        try:
            values = decoder.decode(encoded)
        except msgspec.ValidationError as error:
            raise ValidationError(self._explained(str(error))) from error
        decoded = {name: getattr(values, name) for name in values.__struct_fields__}
        return {name: value for name, value in decoded.items() if value is not msgspec.UNSET}

    def _explained(self, message: str) -> str:
        found = _WHERE.match(message)
        where = f"parameter {found['path']!r}: {found['what']}" if found and found["path"] else message
        return f"task {self._task_name!r}: {where}; expected data that fits {self._bindable}."
