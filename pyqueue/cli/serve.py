"""`pyqueue serve`: the queue behind HTTP, and `pyqueue token`: who may use it."""

from __future__ import annotations

import importlib.util
import os
import sys
from typing import Any

import click

from pyqueue.cli.storage import reports_errors
from pyqueue.core import logs
from pyqueue.core.errors import ConfigError

# As in a worker: what waits for the GIL should not wait for long.
_SWITCH_INTERVAL_SECONDS = 0.0005
_NEEDED = ("uvicorn", "httptools", "websockets")


@click.command()
@click.option("--storage", metavar="PATH", help="The queue's file. Also taken from PYQUEUE_STORAGE.")
@click.option("--config", "path", metavar="FILE", envvar="PYQUEUE_CONFIG", help="A TOML file of settings.")
@click.option("--host", help="The address to listen on (127.0.0.1); others need a token.")
@click.option("--http-port", type=int, help="For HTTP and WebSocket (6790); 0 for any that is free.")
@click.option("--tcp-port", type=int, help="For the TCP protocol (6789); 0 for any that is free.")
@click.option("--durability", type=click.Choice(["power", "process"]), help="What an acknowledged change survives.")
@click.option("--log-format", type=click.Choice(["text", "json"]))
@click.option("--log-level", type=click.Choice(["debug", "info", "warning", "error"]))
@click.option("--check", is_flag=True, help="Check the settings, print them, and end.")
@reports_errors
def serve(path: str | None, check: bool, **flags: Any) -> None:
    """Serve the queue over HTTP, WebSocket and TCP, beside the applications that use its file.

    Settings come from flags, then PYQUEUE_… in the environment, then the file, then the defaults.
    SIGTERM or Ctrl-C finishes the requests that run; a second one ends at once.

    Example: pyqueue serve --storage jobs.db
    """
    from pyqueue.server import configuration

    settings = configuration.load(path=path, flags=_settings_of(flags), environ=os.environ)
    if check:
        return click.echo(configuration.shown(settings))
    missing = [name for name in _NEEDED if importlib.util.find_spec(name) is None]
    if missing:
        raise ConfigError(f"{', '.join(missing)} not installed; pip install 'pyqueue-jobs[server]'.")
    from pyqueue.server.serve import serve as run

    logs.set_up(settings.logging.format, settings.logging.level)
    sys.setswitchinterval(_SWITCH_INTERVAL_SECONDS)
    return run(settings, _tell)


def _settings_of(flags: dict[str, Any]) -> dict[tuple[str, str], Any]:
    places = {
        "storage": ("storage", "url"),
        "durability": ("storage", "durability"),
        "log_format": ("logging", "format"),
        "log_level": ("logging", "level"),
    }
    return {places.get(flag, ("server", flag)): value for flag, value in flags.items()}


def _tell(what: str, host: str, port: int) -> None:
    click.echo(f"{what} on {host}:{port}", err=True)


@click.command()
@click.argument("name")
@click.option(
    "--role", "roles", multiple=True, required=True, type=click.Choice(["read", "push", "work", "admin"]),
    help="What it may do; may be given several times.",
)  # fmt: skip
@click.option("--queue", "queues", multiple=True, help="Only on this queue; may be given several times.")
@reports_errors
def token(name: str, roles: tuple[str, ...], queues: tuple[str, ...]) -> None:
    """Make a token for a server: prints it, and what to put into the server's settings.

    The token is shown this once; the settings hold only its digest.

    Example: pyqueue token shop --role push --role read
    """
    from pyqueue.server.tokens import digest, new_token

    made = new_token()
    click.echo(made)
    lines = ["[[auth.tokens]]", f"name = {_toml(name)}", f'sha256 = "{digest(made)}"', f"roles = {_toml(list(roles))}"]
    if queues:
        lines.append(f"queues = {_toml(list(queues))}")
    click.echo("\n".join(lines), err=True)


def _toml(value: Any) -> str:
    """A text or list of texts as TOML, which writes them as JSON does."""
    import msgspec

    return msgspec.json.encode(value).decode()
