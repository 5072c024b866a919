"""A rented pod's calls to RunPod's API about itself, by whatever client works."""

from __future__ import annotations

import contextlib
import functools
import json
import os
import re
from pathlib import Path
from typing import Any, Callable, Dict, NamedTuple, Optional, Tuple

from moola_remote.agent.constants import API_TIMEOUT_S, BLOCK, Json
from moola_remote.agent.lazy import subprocess

USER_AGENT = "moola-agent"  # the API's proxy refuses that of urllib


def pod_variables() -> Dict[str, str]:
    """Return the pod's own variables: a shell over SSH has not those of process 1."""
    found: Dict[str, str] = {}
    with contextlib.suppress(OSError):
        for entry in Path("/proc/1/environ").read_bytes().split(b"\0"):
            name, _, value = entry.decode("utf-8", "replace").partition("=")
            found[name] = value
    return {
        name: value
        for name, value in {**found, **os.environ}.items()
        if name in ("RUNPOD_POD_ID", "RUNPOD_API_KEY")
    }


class Answer(NamedTuple):
    """HTTP's status (0: no answer), the beginning of the body, and the server's time, Unix s."""

    status: int
    said: str
    date: Optional[float] = None


Request = Tuple[str, str, str, Optional[bytes]]  # method, URL, key, JSON
Ask = Callable[[Request], Answer]


def call_api(ask: Ask, settings: Json, me: Dict[str, str], action: Optional[str] = None) -> Answer:
    """Read this pod, or act on it; never raises, whatever fails."""
    try:
        url = f"{settings['api'].rstrip('/')}/v2/pods/{me.get('RUNPOD_POD_ID')}"
        key = me.get("RUNPOD_API_KEY", "")
        if action is None:
            return ask(("GET", url, key, None))
        return ask(("POST", f"{url}/action", key, json.dumps({"action": action}).encode()))
    except Exception as err:  # noqa: BLE001 - HTTPException, MemoryError: the next means is tried
        return Answer(0, f"{type(err).__name__}: {err}")


@functools.lru_cache(maxsize=1)
def opener() -> Any:
    """Return urllib's client, with everything that it would import or read from the disk later."""
    import email.utils  # noqa: F401
    import encodings.ascii
    import encodings.idna
    import encodings.latin_1  # noqa: F401
    import urllib.error
    import urllib.request

    handlers = []
    with contextlib.suppress(ImportError, OSError):
        import ssl

        handlers.append(urllib.request.HTTPSHandler(context=ssl.create_default_context()))
    return urllib.request.build_opener(*handlers)


def ask_by_python(request: Request) -> Answer:
    """Ask in this very process: it needs no disk, no process number and no further import."""
    import urllib.error
    import urllib.request

    method, url, key, body = request
    headers = {"Authorization": f"Bearer {key}", "User-Agent": USER_AGENT}
    if body is not None:
        headers["Content-Type"] = "application/json"
    asked = urllib.request.Request(url, data=body, headers=headers, method=method)
    try:
        with opener().open(asked, timeout=API_TIMEOUT_S) as response:
            said = response.read(BLOCK).decode("utf-8", "replace")
            return Answer(response.status, said, unix_time(response.headers.get("Date")))
    except urllib.error.HTTPError as err:
        said = err.read(300).decode("utf-8", "replace")
        return Answer(err.code, said, unix_time(err.headers.get("Date")))


def ask_by_curl(request: Request) -> Answer:
    """Call the API by curl; the key goes over stdin, as everybody may read a command line."""
    method, url, key, body = request
    argv = ["curl", "-sSi", "-m", str(API_TIMEOUT_S), "-K", "-", "-X", method, "-A", USER_AGENT]
    if body is not None:
        argv += ["-H", "Content-Type: application/json", "--data", body.decode()]
    config = f'header = "Authorization: Bearer {key}"\n'
    done = subprocess.run(
        [*argv, "-w", "\n%{http_code}", url],
        input=config.encode(),
        capture_output=True,
        check=False,
        timeout=2 * API_TIMEOUT_S,
    )
    if done.returncode != 0:
        raise OSError(f"curl: {done.stderr.decode('utf-8', 'replace').strip()[-200:]}")
    text, _, status = done.stdout.decode("utf-8", "replace").rpartition("\n")
    head, _, said = text.rpartition("\r\n\r\n")
    date = re.search(r"(?im)^date:\s*([^\r\n]+)", head)
    return Answer(int(status), said, unix_time(date.group(1) if date else None))


def unix_time(date: Optional[str]) -> Optional[float]:
    """Return the Unix time of an HTTP date; None for none."""
    from email.utils import parsedate_to_datetime

    try:
        return parsedate_to_datetime(date).timestamp() if date else None
    except (TypeError, ValueError, OverflowError):
        return None
