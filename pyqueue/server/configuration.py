"""Where settings come from: flag, then environment, then file, then default."""

from __future__ import annotations

import os
import re
import tomllib
from collections.abc import Mapping
from typing import Any, Final

import msgspec

from pyqueue.core.config import MEMORY, is_postgres, sqlite_path
from pyqueue.core.errors import ConfigError
from pyqueue.core.validate import known_keys
from pyqueue.server.settings import PARTS, Settings, is_loopback
from pyqueue.server.tokens import digest
from pyqueue.web.request import Role

# A setting `port` of the part `server` is PYQUEUE_PORT, one `level` of another part, `logging`, PYQUEUE_LOGGING_LEVEL.
_PREFIX: Final = "PYQUEUE_"
_NAMES: Final = {("storage", "url"): "PYQUEUE_STORAGE"}
_TOKEN_LENGTH_MIN: Final = 16

_PASSWORD: Final = re.compile(r"://([^:/@\s]*):[^@\s]*@")

Values = dict[str, dict[str, Any]]


def load(
    *, path: str | None = None, flags: Mapping[tuple[str, str], Any] | None = None, environ: Mapping[str, str]
) -> Settings:
    """The settings, checked.

    `flags`: by part and setting; None is "not given".

    Raises:
        ConfigError: naming the setting, or the key that nobody knows.
    """
    values: Values = {part: {} for part in PARTS}
    if path is not None:
        _merge(values, _of_file(path))
    _merge(values, _of_environment(environ))
    for (part, setting), value in (flags or {}).items():
        if value is not None:
            values[part][setting] = value
    try:
        settings = msgspec.convert(values, Settings, strict=False)
    except msgspec.ValidationError as error:
        raise ConfigError(f"settings: {error}.") from error
    _check(settings)
    return settings


def variable(part: str, setting: str) -> str:
    """The environment variable of a setting."""
    name = _NAMES.get((part, setting))
    return name or _PREFIX + ("" if part == "server" else f"{part.upper()}_") + setting.upper()


def _merge(values: Values, more: Values) -> None:
    for part, settings in more.items():
        values[part].update(settings)


def _of_file(path: str) -> Values:
    try:
        with open(path, "rb") as file:
            parsed = tomllib.load(file)
    except OSError as error:
        raise ConfigError(f"cannot read the settings in {path!r}: {error.strerror}.") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path!r} is not TOML: {error}.") from error
    _known(parsed, PARTS, f"part in {path}")
    for part, settings in parsed.items():
        if not isinstance(settings, dict):
            raise ConfigError(f"{part!r} in {path!r} is a value; expected a table, [{part}].")
        _known(settings, PARTS[part].__struct_fields__, f"setting in [{part}] of {path}")
    return parsed


def _known(given: Mapping[str, Any], known: Any, what: str) -> None:
    try:
        known_keys(given, known, what)
    except ValueError as error:
        raise ConfigError(str(error)) from None


def _of_environment(environ: Mapping[str, str]) -> Values:
    values: Values = {}
    for part, struct in PARTS.items():
        for setting in struct.__struct_fields__:
            text = environ.get(variable(part, setting))
            if text is not None:
                values.setdefault(part, {})[setting] = _read(part, setting, text)
    return values


def _read(part: str, setting: str, text: str) -> Any:
    """Text of the environment: lists are parted by commas, and tokens are plain there, and may do everything."""
    if (part, setting) == ("auth", "tokens"):
        return [_plain_token(number, token) for number, token in enumerate(_parted(text), 1)]
    return _parted(text) if (part, setting) == ("browsers", "cors_origins") else text


def _parted(text: str) -> list[str]:
    return [each.strip() for each in text.split(",") if each.strip()]


def _plain_token(number: int, token: str) -> dict[str, Any]:
    if len(token) < _TOKEN_LENGTH_MIN:
        raise ConfigError(
            f"token {number} of PYQUEUE_AUTH_TOKENS has {len(token)} characters; expected at least "
            f"{_TOKEN_LENGTH_MIN}. `pyqueue token` makes a good one."
        )
    return {"name": f"environment-{number}", "sha256": digest(token), "roles": [Role.ADMIN.value]}


def _check(settings: Settings) -> None:
    """What no single setting can know."""
    if not settings.storage.url:
        raise ConfigError("no storage; give --storage jobs.db, set PYQUEUE_STORAGE, or url under [storage].")
    if not is_postgres(settings.storage.url) and sqlite_path(settings.storage.url) == MEMORY:
        raise ConfigError("storage ':memory:' would be gone with the server; expected the path of a file.")
    if not settings.auth.tokens and not is_loopback(settings.server.host):
        raise ConfigError(
            f"host {settings.server.host!r} can be reached from other machines and there is no token; "
            "expected one under [[auth.tokens]] or in PYQUEUE_AUTH_TOKENS. `pyqueue token` makes one."
        )
    names = [token.name for token in settings.auth.tokens]
    if len(set(names)) < len(names):
        raise ConfigError("two tokens under [[auth.tokens]] have one name; expected each name once.")
    if bool(settings.tls.cert_path) != bool(settings.tls.key_path):
        raise ConfigError("[tls] has one of cert_path and key_path; expected both or none.")
    for path in filter(None, (settings.tls.cert_path, settings.tls.key_path)):
        if not os.access(path, os.R_OK):
            raise ConfigError(f"[tls] names {path!r}, which cannot be read.")


def shown(settings: Settings) -> str:
    """The settings, one line each. Tokens are named only, and passwords left out."""
    lines = []
    for part in PARTS:
        for setting, value in msgspec.structs.asdict(getattr(settings, part)).items():
            if (part, setting) == ("auth", "tokens"):
                value = [token.name for token in value]
            lines.append(f"{part}.{setting} = {msgspec.json.encode(value).decode()}")
    return _PASSWORD.sub(r"://\1:…@", "\n".join(lines))
