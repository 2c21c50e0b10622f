"""Settings: flag, environment, file, default; strict about everything."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from pyqueue.core.errors import ConfigError
from pyqueue.server import configuration
from pyqueue.server.settings import PARTS, Settings
from pyqueue.server.tokens import digest

ROOT = Path(__file__).parent.parent.parent
STORAGE = {"PYQUEUE_STORAGE": "jobs.db"}
GOOD = f"sha256 = '{digest('t')}'\nroles = ['read']\n"


def load(tmp_path: Path, toml: str | None = None, flags: Any = None, **environ: str) -> Settings:
    path = None
    if toml is not None:
        path = str(tmp_path / "server.toml")
        Path(path).write_text(toml)
    return configuration.load(path=path, flags=flags, environ=STORAGE | environ)


def test_the_more_particular_wins(tmp_path: Path) -> None:
    toml = "[server]\nhttp_port = 1\ntcp_port = 1\ngrace_ms = 1"

    server = load(tmp_path, toml, {("server", "http_port"): 3}, PYQUEUE_HTTP_PORT="2", PYQUEUE_TCP_PORT="2").server

    assert (server.http_port, server.tcp_port, server.grace_ms, server.host) == (3, 2, 1, "127.0.0.1")


@pytest.mark.parametrize(
    ("toml", "message"),
    [
        ("[server]\nhttp_prot = 1", "http_prot.*expected one of.*http_port"),
        ("[sever]\nport = 1", "sever.*expected one of.*server"),
        ("server = 1", "expected a table"),
        ("[server", "is not TOML"),
        ("[server]\nhttp_port = 65536", "http_port"),
        ("[server]\nhttp_port = 'x'", "http_port"),
        ("[logging]\nlevel = 'loud'", "level"),
        ("[server]\nhost = '0.0.0.0'", "no token"),
        ("[tls]\ncert_path = 'x'", "both or none"),
        ("[tls]\ncert_path = 'x'\nkey_path = 'x'", "cannot be read"),
        ("[[auth.tokens]]\nname = 'a'\nsha256 = 'secret'\nroles = ['read']", "sha256"),
        (f"[[auth.tokens]]\nname = 'a'\n{GOOD}admin = true", "admin"),
        (f"[[auth.tokens]]\nname = 'a'\nsha256 = '{digest('t')}'\nroles = ['root']", "roles"),
        (f"[[auth.tokens]]\nname = 'a'\n{GOOD}[[auth.tokens]]\nname = 'a'\n{GOOD}", "each name once"),
    ],
)
def test_what_cannot_work_is_refused_with_its_name(tmp_path: Path, toml: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        load(tmp_path, toml)


def test_a_file_that_cannot_be_read_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot read"):
        configuration.load(path=str(tmp_path / "nowhere.toml"), environ=STORAGE)


def test_no_storage_or_one_in_memory_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no storage"):
        configuration.load(environ={})
    with pytest.raises(ConfigError, match=":memory:"):
        load(tmp_path, PYQUEUE_STORAGE=":memory:")


def test_tokens_of_the_environment_are_plain_long_and_may_do_everything(tmp_path: Path) -> None:
    auth = load(tmp_path, PYQUEUE_AUTH_TOKENS=f"{'a' * 16}, {'b' * 16}", PYQUEUE_HOST="0.0.0.0").auth

    assert [token.sha256 for token in auth.tokens] == [digest("a" * 16), digest("b" * 16)]
    with pytest.raises(ConfigError, match="at least 16"):
        load(tmp_path, PYQUEUE_AUTH_TOKENS="short")


def test_shown_settings_name_tokens_and_do_not_show_them(tmp_path: Path) -> None:
    shown = configuration.shown(load(tmp_path, f"[[auth.tokens]]\nname = 'shop'\n{GOOD}"))

    assert 'auth.tokens = ["shop"]' in shown
    assert digest("t") not in shown


def test_the_password_of_a_database_is_not_shown(tmp_path: Path) -> None:
    shown = configuration.shown(load(tmp_path, PYQUEUE_STORAGE="postgresql://shop:pa55@db/jobs"))

    assert "shop" in shown
    assert "pa55" not in shown


def test_the_documents_name_every_setting_its_default_and_its_variable() -> None:
    rows = re.findall(
        r"^\| `(\w+)\.(\w+)` \| (?:`(.+?)`|none) \| `(\w+)` \|", (ROOT / "docs/server.md").read_text(), re.M
    )

    defaults = Settings()
    expected = [
        (part, setting, _default(getattr(getattr(defaults, part), setting)), configuration.variable(part, setting))
        for part, struct in PARTS.items()
        for setting in struct.__struct_fields__
    ]
    assert rows == expected


def _default(value: object) -> str:
    return "" if value in ("", ()) else str(value)
