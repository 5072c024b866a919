"""Responses of the API: parsed with limits, failures as errors."""

from __future__ import annotations

import json
import re
import time
from datetime import datetime, timezone
from email.utils import parsedate_to_datetime
from typing import TypeVar

import httpx

from moola_remote.config.typed import WrongValueError, decoded
from moola_remote.errors import (
    ConfigError,
    LimitError,
    MoolaError,
    NoCapacityError,
    UnreachableError,
)
from moola_remote.providers.runpod.models import Answer
from moola_remote.text.sanitize import safe

ANSWER_LIMIT_S = 60.0
MAX_ANSWER_BYTES = 16 * 2**20
MAX_SAID = 300
ApiAnswer = TypeVar("ApiAnswer", bound=Answer)
_HTML_TITLE = re.compile(r"<title>([^<]*)</title>", re.IGNORECASE)


class UnansweredError(UnreachableError):
    """No answer, or none of the API's own: the call may have been carried out or not.

    Args:
        message: as every error's.
        was_sent: False where the API was not even reached.
    """

    def __init__(self, message: str, *, was_sent: bool = True) -> None:
        super().__init__(message, "see https://uptime.runpod.io, or try again later")
        self.was_sent = was_sent


class BusyError(UnreachableError):
    """Too many requests; `retry_after_s` is what the API asks for, None where it says nothing."""

    def __init__(self, message: str, retry_after_s: float | None) -> None:
        super().__init__(message, "try again in a minute")
        self.retry_after_s = retry_after_s


class RefusedError(ConfigError):
    """The API understood, and says no; `status` is HTTP's."""

    def __init__(self, message: str, cure: str, status: int) -> None:
        super().__init__(message, cure)
        self.status = status


def whole_answer(stream: httpx.Response) -> httpx.Response:
    """Return an answer with its body, which must end below a size and within a time."""
    give_up, body = time.monotonic() + ANSWER_LIMIT_S, bytearray()
    for part in stream.iter_bytes():
        body += part
        if len(body) > MAX_ANSWER_BYTES or time.monotonic() > give_up:
            raise httpx.ReadError(f"an endless response, {len(body)} bytes so far")
    coded = (b"content-encoding", b"content-length", b"transfer-encoding")
    headers = [(name, value) for name, value in stream.headers.raw if name.lower() not in coded]
    return httpx.Response(
        stream.status_code, headers=headers, content=bytes(body), request=stream.request
    )


def parse(model: type[ApiAnswer], response: httpx.Response) -> ApiAnswer:
    """Read a response as `model`; raise a MoolaError of one line where it is another."""
    what = f"{response.request.method} {response.request.url.path}"
    try:
        return decoded(model, response.content)
    except WrongValueError as fault:
        raise UnansweredError(
            f"RunPod: {what}: not an answer of API v2, {fault.key or 'its answer'}: {fault.wrong}"
        ) from fault


def failure(response: httpx.Response, what: str) -> MoolaError:
    """Return what an answer that is no success means to us, in one line."""
    status, said = response.status_code, _said(response)
    message = f"RunPod: {what}: {status} {said}"
    if status == httpx.codes.TOO_MANY_REQUESTS:
        return BusyError(message, _retry_after_s(response.headers))
    if status >= httpx.codes.INTERNAL_SERVER_ERROR:
        return UnansweredError(message)
    if status == httpx.codes.PAYMENT_REQUIRED:
        return LimitError(message, "add credit at console.runpod.io, one hour's price at least")
    if status == httpx.codes.BAD_REQUEST and response.request.method == "POST":
        return NoCapacityError(message, "try another GPU, cloud or data centre, or later")
    return RefusedError(message, _CURES.get(status, ""), status)


def _retry_after_s(headers: httpx.Headers) -> float | None:
    """Seconds, or the time of day that it means (RFC 9110, 10.2.3)."""
    after = headers.get("retry-after", "")
    if after.isdecimal():
        return float(after)
    until = parse_moment(after)
    now = parse_moment(headers.get("date", "")) or datetime.now(timezone.utc)
    return max(0.0, (until - now).total_seconds()) if until else None


def parse_moment(date: str) -> datetime | None:
    """Return the time in a header; None where it is none."""
    try:
        moment = parsedate_to_datetime(date)
    except ValueError:
        return None
    return moment if moment.tzinfo else moment.replace(tzinfo=timezone.utc)


_CURES = {
    400: "correct the pod's file",
    401: "make a key at console.runpod.io, Settings, API keys; set it as RUNPOD_API_KEY",
    403: "give the API key the permission `All` (console.runpod.io, Settings, API keys)",
    404: "see what there is with: moola-remote pods",
    409: "look again in a minute with: moola-remote pods",
    410: "this API has been retired: upgrade moola-remote, or correct the API's address",
    422: "correct the pod's file",
}


def _said(response: httpx.Response) -> str:
    """Return what a body says, whether it is the API's JSON, a proxy's HTML, or plain text."""
    text = response.text[: 64 * 1024]
    try:
        problem = json.loads(text)
    except ValueError:
        problem = None
    if isinstance(problem, dict):
        errors = problem.get("errors")
        words = [str(error) for error in errors[:3]] if isinstance(errors, list) else []
        head = problem.get("detail") or problem.get("title") or problem.get("error") or ""
        return safe(": ".join([str(head), *words]), MAX_SAID)
    title = _HTML_TITLE.search(text)
    if title:
        return f"(from a proxy) {safe(title.group(1).strip(), MAX_SAID)}"
    return safe(" ".join(text.split()), MAX_SAID) or "(no text)"


def log_line(line: bytes) -> list[str]:
    """Return the text of a ``data:`` line; nothing of any other."""
    if not line.startswith(b"data:"):
        return []
    try:
        record = json.loads(line.removeprefix(b"data:"))
    except (ValueError, RecursionError):
        return []
    text = record.get("line") if isinstance(record, dict) else None
    return [safe(text, 2000)] if isinstance(text, str) else []
