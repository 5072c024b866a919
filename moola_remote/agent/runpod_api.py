"""A rented pod's calls to RunPod's API about itself, by whatever client works."""

from __future__ import annotations

import contextlib
import json
import os
from pathlib import Path
from typing import Callable, Dict, Optional, Tuple

from moola_remote.agent.constants import API_TIMEOUT_S, BLOCK, Json
from moola_remote.agent.lazy import subprocess

USER_AGENT = "moola-agent"  # the API's proxy refuses that of urllib


def pod_variables() -> Dict[str, str]:
    """The pod's own variables: a shell over SSH has not those of process 1."""
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


Request = Tuple[str, str, str, Optional[bytes]]  # method, URL, key, JSON
Ask = Callable[[Request], Tuple[int, str]]  # HTTP's status, the beginning of what is said


def call_api(
    ask: Ask, settings: Json, me: Dict[str, str], action: Optional[str] = None
) -> Tuple[int, str]:
    """Read this pod, or act on it; status 0 where there is no answer."""
    url = f"{settings['api'].rstrip('/')}/v2/pods/{me.get('RUNPOD_POD_ID')}"
    key = me.get("RUNPOD_API_KEY", "")
    try:
        if action is None:
            return ask(("GET", url, key, None))
        return ask(("POST", f"{url}/action", key, json.dumps({"action": action}).encode()))
    except (OSError, ValueError) as err:
        return 0, str(err)


def ask_by_python(request: Request) -> Tuple[int, str]:
    import urllib.error
    import urllib.request

    method, url, key, body = request
    headers = {"Authorization": f"Bearer {key}", "User-Agent": USER_AGENT}
    if body is not None:
        headers["Content-Type"] = "application/json"
    asked = urllib.request.Request(url, data=body, headers=headers, method=method)
    try:
        with urllib.request.urlopen(asked, timeout=API_TIMEOUT_S) as response:
            return response.status, response.read(BLOCK).decode("utf-8", "replace")
    except urllib.error.HTTPError as err:
        return err.code, err.read(300).decode("utf-8", "replace")


def ask_by_curl(request: Request) -> Tuple[int, str]:
    """The key goes over stdin, as everybody may read a command line."""
    method, url, key, body = request
    argv = ["curl", "-sS", "-m", str(API_TIMEOUT_S), "-K", "-", "-X", method, "-A", USER_AGENT]
    if body is not None:
        argv += ["-H", "Content-Type: application/json", "--data", body.decode()]
    config = f'header = "Authorization: Bearer {key}"\n'
    done = subprocess.run(
        [*argv, "-w", "\n%{http_code}", url],
        input=config.encode(),
        capture_output=True,
        check=False,
    )
    if done.returncode != 0:
        raise OSError(f"curl: {done.stderr.decode('utf-8', 'replace').strip()[-200:]}")
    said, _, status = done.stdout.decode("utf-8", "replace").rpartition("\n")
    return int(status), said
