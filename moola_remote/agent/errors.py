"""A refusal: a code for programs, a line for people."""

from __future__ import annotations

from typing import Any


class AgentError(Exception):
    """An error for the caller: a code for programs, a line for people, perhaps more keys."""

    def __init__(self, code: str, message: str, **more: Any) -> None:
        super().__init__(message)
        self.answer = {"ok": False, "error": code, "message": message, **more}
