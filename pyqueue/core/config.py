"""Where a queue lives: the URL or path given to `PyQueue`, parsed."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, Final

from pyqueue.core.clock import Clock
from pyqueue.core.errors import ConfigError
from pyqueue.core.store.store import Durability, Store
from pyqueue.core.validate import shown

if TYPE_CHECKING:
    from pyqueue.core.store.postgres.connection import Location

MEMORY: Final = ":memory:"
DURABILITIES: Final[tuple[Durability, ...]] = ("power", "process")
POOL_SIZE_MAX: Final = 1_000
_OPTIONS: Final = ("schema", "pool_size", "pooler")
# How `dbname=shop user=app` begins, which libpq takes in place of a URL.
_LIBPQ: Final = ("dbname", "host", "hostaddr", "port", "user", "password", "passfile", "service", "sslmode", "options")


def is_postgres(url: object) -> bool:
    """Whether a URL names a PostgreSQL database."""
    return isinstance(url, str) and url.startswith(("postgresql://", "postgres://"))


def store_of(url: str | os.PathLike[str], *, durability: Durability, clock: Clock, logs_events: bool) -> Store:
    """The store that a URL or path names; nothing is opened.

    Raises:
        ConfigError: the URL is none that is known, or the driver is not installed.
    """
    # Either store with its driver is some megabytes and milliseconds of a process that needs the other.
    if not is_postgres(url):
        from pyqueue.core.store.sqlite import SqliteStore

        return SqliteStore(sqlite_path(url), durability=durability, clock=clock, logs_events=logs_events)
    from pyqueue.core.store.postgres.store import PostgresStore

    return PostgresStore(postgres_location(str(url)), durability=durability, clock=clock, logs_events=logs_events)


def postgres_location(url: str) -> Location:
    """What `postgresql://user@host/database?schema=jobs` says. All parameters but ours are those of libpq.

    Raises:
        ConfigError: a value nobody understands, or psycopg is not installed.
    """
    from importlib.util import find_spec
    from urllib.parse import parse_qsl, quote, urlencode, urlsplit

    if find_spec("psycopg") is None:
        raise ConfigError(
            "a postgresql:// URL needs psycopg, which is not installed; run: pip install 'pyqueue-jobs[postgres]'"
        )
    from psycopg import ProgrammingError
    from psycopg.conninfo import conninfo_to_dict

    from pyqueue.core.store.postgres.connection import Location

    parts = urlsplit(url)
    given = parse_qsl(parts.query, keep_blank_values=True)
    ours = {key: value for key, value in given if key in _OPTIONS}
    theirs = urlencode([(key, value) for key, value in given if key not in _OPTIONS], quote_via=quote)
    # Not geturl(), which makes postgresql:/database of postgresql:///database.
    conninfo = f"{url.partition('?')[0]}?{theirs}" if theirs else url.partition("?")[0]
    try:
        conninfo_to_dict(conninfo)
    except ProgrammingError as error:
        raise ConfigError(
            f"storage URL of PostgreSQL was not understood ({' '.join(str(error).split())}); expected "
            f"'postgresql://user@host/database', with parameters of libpq or {', '.join(_OPTIONS)}."
        ) from None
    return Location(conninfo, _schema(ours), _pool_size(ours), _is_pooled(ours))


def _schema(options: Mapping[str, str]) -> str | None:
    name = options.get("schema")
    if name is not None and not (0 < len(name.encode()) <= 63 and "\0" not in name):
        raise ConfigError(f"schema {shown(name)}; expected the name of a PostgreSQL schema, of 1 to 63 bytes.")
    return name


def _pool_size(options: Mapping[str, str]) -> int:
    size = options.get("pool_size", "8")
    if not size.isdecimal() or not 1 <= int(size) <= POOL_SIZE_MAX:
        raise ConfigError(f"pool_size {shown(size)}; expected a number of connections from 1 to {POOL_SIZE_MAX:,}.")
    return int(size)


def _is_pooled(options: Mapping[str, str]) -> bool:
    pooler = options.get("pooler")
    if pooler not in (None, "transaction"):
        raise ConfigError(f"pooler {shown(pooler)}; expected 'transaction', for one that lends its connections so.")
    return pooler is not None


def sqlite_path(url: str | os.PathLike[str]) -> str:
    """The absolute path of a SQLite file from `jobs.db`, `/var/jobs.db`, `sqlite:///jobs.db` or `sqlite:////var/jobs.db`.

    Three slashes are followed by a path relative to the working directory, four by an absolute one, as in SQLAlchemy.

    Raises:
        ConfigError: another scheme, no path, or a query nobody reads.
    """
    text = os.fspath(url)
    if not isinstance(text, str) or not text:
        raise ConfigError(
            f"storage {shown(url)}; expected a path such as 'jobs.db' or a URL such as 'sqlite:///jobs.db'."
        )
    if text == MEMORY:
        return MEMORY
    if "://" not in text:
        _require_no_conninfo(text)
        return os.path.abspath(text)
    from urllib.parse import unquote, urlsplit  # 5 ms, and most give a path

    parts = urlsplit(text)
    if parts.scheme != "sqlite":
        raise ConfigError(
            f"storage URL {shown(text)} has the scheme {parts.scheme!r}; expected a path, 'sqlite:///…' or 'postgresql://…'."
        )
    if parts.netloc or len(parts.path) < 2 or parts.query or parts.fragment:
        raise ConfigError(
            f"storage URL {shown(text)}; expected 'sqlite:///relative.db' or 'sqlite:////absolute.db' and nothing else."
        )
    return os.path.abspath(unquote(parts.path[1:]))


def _require_no_conninfo(path: str) -> None:
    """Raises ConfigError for a string of libpq, of which a file would be made; it is not shown, for its password."""
    key, equals, _ = path.partition("=")
    if equals and key.strip() in _LIBPQ:
        raise ConfigError(
            f"storage begins with {key.strip()!r} and '=', as the connection strings of libpq do; expected a URL such "
            "as 'postgresql://user@host/database', or, for a file of such a name, './' before it."
        )


def durability(value: str) -> Durability:
    """`power` or `process`.

    Raises:
        ConfigError.
    """
    for known in DURABILITIES:
        if value == known:
            return known
    raise ConfigError(
        f"durability {shown(value)}; expected 'power' (survives power loss) or 'process' (survives kill -9)."
    )
