"""A small server for pages of this machine alone: loopback, its own names, no other site.

A page is made safe from other pages of the same browser, not from other users of the machine's
account, who can read the same files anyway.
"""

from __future__ import annotations

import sys
import threading
import traceback
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from tinygrad_lstm.errors import TinygradError

LOOPBACK = "127.0.0.1"
NAMES = (LOOPBACK, "localhost")  # of this machine; another name in a request is another site's


class ServeError(TinygradError):
    """A port that cannot be had."""


class Handler(BaseHTTPRequestHandler):
    """What every server of ours does: it answers by the names of this machine only."""

    server: ThreadingHTTPServer
    timeout = 60  # seconds without a byte, after which a connection is closed

    def hosts(self) -> frozenset[str]:
        """What a browser of this machine calls the server."""
        return frozenset(f"{name}:{self.server.server_port}" for name in NAMES)

    def parse_request(self) -> bool:
        """Refuse a foreign name that was led here, whatever is asked for."""
        if not super().parse_request():
            return False
        if self.headers.get_all("Host", []) not in [[host] for host in self.hosts()]:
            self.send_error(HTTPStatus.MISDIRECTED_REQUEST, "Not a name of this machine")
            return False
        return True

    def answer(
        self,
        kind: str,
        content: bytes,
        status: HTTPStatus = HTTPStatus.OK,
        more: Mapping[str, str] | None = None,
    ) -> None:
        """Send content of a media type, for this origin alone, which no cache keeps."""
        self.send_response(status)
        headers = {
            "Content-Type": kind,
            "Content-Length": str(len(content)),
            "Cache-Control": "no-store",
            "Cross-Origin-Resource-Policy": "same-origin",
            "Cross-Origin-Opener-Policy": "same-origin",
            "Referrer-Policy": "no-referrer",
            "X-Content-Type-Options": "nosniff",
        }
        for name, value in (headers | dict(more or {})).items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, format: str, *args: object) -> None:
        """Requests are not reported."""


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: object, client_address: object) -> None:
        """A browser that goes away in the middle of an answer is no error."""
        if not isinstance(sys.exception(), OSError):
            traceback.print_exc()


@contextmanager
def serving(handler: Callable[..., Any], port: int = 0) -> Iterator[str]:
    """Serve on the loopback address; gives the address. Port 0 takes one that is free."""
    try:
        server = _Server((LOOPBACK, port), handler)
    except (OSError, OverflowError) as error:
        why = getattr(error, "strerror", None) or str(error).rstrip(".")
        raise ServeError(
            f"port {port} of this machine cannot be had: {why}.\n"
            f"  Name another with --port, or leave the option out to take one that is free."
        ) from error
    threading.Thread(target=server.serve_forever, args=(0.1,), daemon=True).start()
    try:
        yield f"http://{LOOPBACK}:{server.server_address[1]}/"
    finally:
        server.shutdown()
        server.server_close()
