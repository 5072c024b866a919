"""What an answer of the double is made of."""

from __future__ import annotations

import json
import time
from typing import Any, Literal

from werkzeug.wrappers import Response

# What goes wrong with one request; `-after` has been carried out first.
Fault = Literal["429", "500", "500-after", "html", "html-200", "lost", "lost-after"]


def answer(value: dict[str, Any], status: int = 200) -> Response:
    """JSON."""
    return Response(json.dumps(value), status, mimetype="application/json")


def problem(status: int, detail: str, errors: list[str] | None = None) -> Response:
    """``application/problem+json``."""
    body = {"title": "Problem", "status": status, "detail": detail}
    more = {"errors": errors} if errors else {}
    return Response(json.dumps({**body, **more}), status, mimetype="application/problem+json")


def timestamp(seconds: float) -> str:
    """As the API writes times."""
    whole = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(seconds))
    return f"{whole}.{int(seconds % 1 * 1000):03d}Z"


def failure(fault: Fault | None, lost: type[BaseException]) -> Response | None:
    """Return what comes in place of carrying a request out; None where it is carried out.

    Raises:
        BaseException: `lost`; the connection is lost.
    """
    if fault == "lost":
        raise lost("the connection is lost")
    if fault == "429":
        busy = problem(429, "rate limit exceeded for the minute window")
        busy.headers["Retry-After"] = "1"
        return busy
    if fault == "500":
        return problem(500, "internal error")
    if fault in ("html", "html-200"):
        page = "<html><head><title>502 Bad Gateway</title></head><body>cloudflare</body></html>"
        return Response(page, 502 if fault == "html" else 200, mimetype="text/html")
    return None
