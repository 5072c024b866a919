"""A page to look at labels and correct them: one file, no network, no server.

The page shows a window at a time, the worst disagreement first; what is decided there is saved as
a file that `jobs.windows --corrections` applies. Its security policy names the hashes of its style
and script, so that text of the data does nothing.
"""

from __future__ import annotations

import base64
import hashlib
import html
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from moola_core.data.windows import Windows
from moola_core.errors import ConfigError
from moola_core.evaluation.disagreement import Claim, disagreement
from moola_core.io.atomic import replacing
from moola_core.io.json_file import to_json

FOLDER = Path(__file__).with_name("page")
MARK, MARK_WITHIN = b'<meta name="generator" content="moola">', 4096
MAX_WINDOWS = 5_000
DIGITS = 10  # of a price; a float64 has 16, a tick of 0.01 at 1,000,000 needs 9
# JSON inside of a script element: no character that could end it, or start a comment.
_ESCAPES = {ord(char): f"\\u{ord(char):04x}" for char in "<>&"}


def write_review(
    path: Path, title: str, windows: Windows, claims: Sequence[Sequence[Claim]]
) -> int:
    """Write the page, and return how many windows it shows: the worst `MAX_WINDOWS` at most.

    Args:
        path: the page.
        title: the file that is reviewed.
        windows: what it holds.
        claims: of each window, what else is known of it.

    Raises:
        ConfigError: what lies at `path` is no such page, or it can't be written.
    """
    order = sorted(range(len(windows)), key=lambda row: (-disagreement(claims[row]), row))
    order = order[:MAX_WINDOWS]
    data = {
        "file": title,
        "labels": list(windows.labels),
        "windows": [_shown(windows, row, claims[row]) for row in order],
    }
    style, script = (
        (FOLDER / name).read_text(encoding="utf-8") for name in ("review.css", "review.js")
    )
    page = (FOLDER / "review.html").read_text(encoding="utf-8")
    policy = (
        f"default-src 'none'; script-src {_hash(script)}; style-src {_hash(style)};"
        " base-uri 'none'; form-action 'none'"
    )
    parts = {
        "policy": policy,
        "title": html.escape(title.encode("utf-8", "replace").decode()),
        "style": style,
        "script": script,
        "data": to_json(data).translate(_ESCAPES),
    }
    page = re.sub(r"\{\{(\w+)\}\}", lambda found: parts[found[1]], page)  # one pass
    _write(path, page)
    return len(order)


def _shown(windows: Windows, row: int, claims: Sequence[Claim]) -> dict[str, Any]:
    time = int(windows.start_time[row])
    at = np.datetime64(time, "ns").astype("datetime64[s]").item() if time >= 0 else None
    return {
        "id": str(windows.window_id[row]),
        "at": "" if at is None else f"{at:%Y-%m-%d %H:%M:%S} UTC",
        "bars": [[float(f"{price:.{DIGITS}g}") for price in bar] for bar in windows.bars[row]],
        "span": windows.spans[row].tolist(),
        "label": windows.labels[windows.types[row]],
        "score": round(disagreement(claims), 4),
        "claims": [
            {
                "by": claim.by,
                "kind": claim.kind,
                "span": [claim.start, claim.stop],
                "label": claim.label,
                "sure": claim.confidence,
            }
            for claim in claims
        ],
    }


def _hash(text: str) -> str:
    digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
    return f"'sha256-{digest}'"


def _write(path: Path, page: str) -> None:
    try:
        if path.exists():
            with path.open("rb") as file:
                start = file.read(MARK_WITHIN)
            if MARK not in start:
                raise ConfigError(
                    f"--html {path}: not a page of jobs.review, and is not replaced;"
                    " name another file"
                )
    except OSError as err:
        raise ConfigError(
            f"--html {path}: can't be read, {err.strerror}, expected no file or an old page;"
            " name another file"
        ) from err
    with replacing(path) as aside:
        aside.write_text(page, encoding="utf-8")
