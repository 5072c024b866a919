"""The part of RunPod's API that a pod's guard uses, with a clock of its own."""

from __future__ import annotations

import email.utils
import json
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


class Api:
    """A pod's own view of the API, with a clock that is `ahead_s` of this machine's."""

    def __init__(self, ahead_s: float = 0.0) -> None:
        self.ahead_s = ahead_s
        self.stops: list[float] = []
        api = self

        class Handler(BaseHTTPRequestHandler):
            def log_message(self, *_: Any) -> None:
                pass

            def date_time_string(self, timestamp: float | None = None) -> str:
                return email.utils.formatdate(timestamp or api.now(), usegmt=True)

            def do_GET(self) -> None:
                status = "EXITED" if api.stops else "RUNNING"
                body = json.dumps({"id": "p1", "status": status}).encode()
                self.send_response(200)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def do_POST(self) -> None:
                if b"stop" in self.rfile.read(int(self.headers["Content-Length"])):
                    api.stops.append(time.time())
                self.do_GET()

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def now(self) -> float:
        """What time it is for the API."""
        return time.time() + self.ahead_s

    def close(self) -> None:
        """Answer no more."""
        self.server.shutdown()
        self.server.server_close()

    def settings(self, **changes: Any) -> dict[str, Any]:
        """Settings of a guard without limits."""
        return {"api": self.url, "idle_stop_s": None, "stop_at": None, "tick_s": 0.05, **changes}
