"""The double on a port of its own."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from werkzeug.serving import WSGIRequestHandler, make_server

from tests.support.runpod_double.account import Double


class Quiet(WSGIRequestHandler):
    """Answers as one that keeps connections open, and logs nothing."""

    protocol_version = "HTTP/1.1"

    def send_response(self, code: int, message: str | None = None) -> None:
        """Without the Date of this machine's clock: the double has its own."""
        self.send_response_only(code, message)

    def connection_dropped(self, *_: object) -> None:
        """A lost connection is closed, so that the client needn't wait for its time-out."""
        self.close_connection = True

    def log(self, type: str, message: str, *args: object) -> None:  # noqa: A002
        """Nothing."""


@contextmanager
def serving(double: Double) -> Iterator[Double]:
    """`double` on a port of its own; its `url` says where."""
    server = make_server("127.0.0.1", 0, double, threaded=True, request_handler=Quiet)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    double.url, double.is_served = f"http://127.0.0.1:{server.server_port}", True
    try:
        yield double
    finally:
        double.is_over = True
        server.shutdown()
        thread.join()
        server.server_close()
        for pod in double.pods.values():
            with suppress(OSError):
                pod.machine.stop()
