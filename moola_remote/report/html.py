"""A page as one file: everything inline, nothing fetched, nothing run but our own scripts.

The content-security policy names the hashes of the style and of each script, so a script that came
in with a name or a log line does nothing even if the escaping failed.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from moola_remote import __version__
from moola_remote.errors import ConfigError, missing_package
from moola_remote.files import atomic
from moola_remote.files.disk import unwritable

if TYPE_CHECKING:
    import jinja2

FOLDER = Path(__file__).with_name("page")
SCRIPTS = ("echarts.min.js", "plots.js", "gallery.js", "page.js")
MARK, MARK_WITHIN = b'<meta name="generator" content="moola-remote">', 4096
# JSON inside of a script element: no character that could end it, or start a comment.
_ESCAPES = {ord(char): f"\\u{ord(char):04x}" for char in "<>&\u2028\u2029"}


def render(template: str, data: Any, *, scripts: Sequence[str] = SCRIPTS, **names: Any) -> str:
    """Return a template's page, with `data` for its `scripts`; NaN and infinity become null."""
    environment = _environment()
    from moola_remote.config.typed import json_of

    style, texts = _asset("style.css"), [_asset(name) for name in scripts]
    encoded = json_of(data).decode()
    return environment.get_template(template).render(
        policy=_policy(style, texts),
        style=style,
        scripts=texts,
        data=encoded.translate(_ESCAPES),
        version=__version__,
        **names,
    )


def macro(template: str, name: str) -> Any:
    """Return what a template defines, to be called; what it is given is escaped."""
    return getattr(_environment().get_template(template).module, name)


def write(path: Path, page: str) -> None:
    """Replace `path` by `page`, at once or not at all.

    Raises:
        ConfigError: it can't be written, or what lies there is no page of ours.
    """
    try:
        if path.exists() and MARK not in path.read_bytes()[:MARK_WITHIN]:
            raise ConfigError(
                f"{path}: not a page of moola-remote, and is not replaced", "name another file"
            )
        atomic.write(path, page, mode=0o666, sync=False)
    except OSError as err:
        raise unwritable(path, err, ConfigError) from err


@cache
def _environment() -> jinja2.Environment:
    """Return what compiles each template once."""
    try:
        import jinja2
    except ModuleNotFoundError as err:
        raise (missing_package(err) or err) from err
    return jinja2.Environment(
        loader=jinja2.FileSystemLoader(FOLDER),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )


@cache
def _asset(name: str) -> str:
    return (FOLDER / name).read_text(encoding="utf-8")


def _policy(style: str, scripts: list[str]) -> str:
    allowed = " ".join(map(_hash, scripts))
    return (
        f"default-src 'none'; script-src {allowed}; style-src {_hash(style)}; "
        "base-uri 'none'; form-action 'none'"
    )


def _hash(text: str) -> str:
    digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
    return f"'sha256-{digest}'"
