"""The page over HTTP: for who has its address, of this origin, and for nothing but one file."""

from __future__ import annotations

import hmac
import json
import secrets
from collections.abc import Callable
from dataclasses import asdict, dataclass
from http import HTTPStatus
from typing import Any
from urllib.parse import parse_qs, urlsplit

from lesson.editing.bench import Bench
from lesson.editing.cell_file import LARGEST, CellFile, Changed
from lesson.serving import Handler

MOST = 4 * LARGEST  # bytes of a request: a text in JSON is longer than the file
WAITING = 10.0  # seconds that a question for news stays open
JSON = "application/json"
HTML = "text/html; charset=utf-8"
_CLOSED = "default-src 'none'; base-uri 'none'; form-action 'none'; "
PAGE_POLICY = _CLOSED + (
    "script-src 'nonce-{nonce}'; style-src 'unsafe-inline'; font-src data:; img-src data:; "
    "connect-src 'self'; frame-src 'self'; frame-ancestors 'none'"
)
FRAME_POLICY = _CLOSED + (  # the origin of a frame is its own, so that it reaches nothing of ours
    "script-src 'unsafe-inline'; style-src 'unsafe-inline'; font-src data:; img-src data:; "
    "frame-ancestors 'self'; sandbox allow-scripts"
)


@dataclass(frozen=True)
class Site:
    """What is served: a page made of a nonce, what it shows, the file, and what to wake on a save.

    token: the right to see and change the file, a part of the page's address.
    """

    page: Callable[[str], str]
    bench: Bench
    file: CellFile
    wake: Callable[[], object]
    token: str


class Refused(Exception):
    """A request that is not answered: with a status, and a word that the page knows."""

    def __init__(self, status: HTTPStatus, problem: str = "refused", **more: object) -> None:
        super().__init__(problem)
        self.status, self.told = status, {"problem": problem, **more}


class PageHandler(Handler):
    """GET /?token=…, /news, /frame/KEY; POST /save, /choose. Nothing else is there."""

    def __init__(self, site: Site, *args: Any) -> None:
        self.site = site
        super().__init__(*args)

    def do_GET(self) -> None:
        """The page, the news of it, or a document in it."""
        self._guarded(self._get)

    def do_POST(self) -> None:
        """Write the file, or choose a cell of it."""
        self._guarded(self._post)

    def _guarded(self, answer: Callable[[], None]) -> None:
        try:
            self._check_origin()
            answer()
        except Refused as refused:
            self._json(refused.told, refused.status)

    def _get(self) -> None:
        address = urlsplit(self.path)
        asked = parse_qs(address.query)
        if address.path == "/":
            self._check_token(asked.get("token", [""])[0])
            nonce = secrets.token_urlsafe(16)
            page = self.site.page(nonce).encode()
            policy = PAGE_POLICY.format(nonce=nonce)
            more = {"Content-Security-Policy": policy, "X-Frame-Options": "DENY"}
            self.answer(HTML, page, more=more)
        elif address.path == "/news":
            self._check_token(self.headers.get("X-Token", ""))
            after = asked.get("after", ["0"])[0]
            if not (after.isascii() and after.isdigit() and len(after) < 16):
                raise Refused(HTTPStatus.BAD_REQUEST)
            self._json(self.site.bench.news(int(after), WAITING))
        elif address.path.startswith("/frame/"):
            document = self.site.bench.frame(address.path.removeprefix("/frame/"))
            if document is None:
                raise Refused(HTTPStatus.NOT_FOUND)
            more = {"Content-Security-Policy": FRAME_POLICY}
            self.answer(HTML, document.encode(), more=more)
        else:
            raise Refused(HTTPStatus.NOT_FOUND)

    def _post(self) -> None:
        self._check_token(self.headers.get("X-Token", ""))
        if self.headers.get("Origin") is None:
            raise Refused(HTTPStatus.FORBIDDEN)
        answers = {"/save": self._save, "/choose": self._choose}
        if self.path not in answers:
            raise Refused(HTTPStatus.NOT_FOUND)
        answers[self.path](self._body())

    def _save(self, told: dict[str, Any]) -> None:
        text, seen = told.get("text"), told.get("seen")
        if not isinstance(text, str) or not isinstance(seen, str | None):
            raise Refused(HTTPStatus.BAD_REQUEST)
        file, bench = self.site.file, self.site.bench
        with file.lock:
            try:
                held = file.write(text, seen)
            except Changed as changed:
                now = file.read()
                told = {"held": asdict(now), "edition": bench.hold(now)}
                raise Refused(HTTPStatus.CONFLICT, "changed", **told) from changed
            except (OSError, UnicodeEncodeError) as error:
                known = str(error) in ("too_large", "no_file", "unreadable")
                problem = str(error) if known else "unwritable"
                raise Refused(HTTPStatus.INSUFFICIENT_STORAGE, problem) from error
            edition = bench.hold(held)
        self.site.wake()
        self._json({**asdict(held), "edition": edition})

    def _choose(self, told: dict[str, Any]) -> None:
        name = told.get("cell")
        if not isinstance(name, str):
            raise Refused(HTTPStatus.BAD_REQUEST)
        self.site.bench.wanted = name
        self.site.wake()
        self._json({})

    def _body(self) -> dict[str, Any]:
        kind = self.headers.get("Content-Type", "").partition(";")[0].strip().lower()
        if kind != JSON:
            raise Refused(HTTPStatus.UNSUPPORTED_MEDIA_TYPE)
        length = self.headers.get("Content-Length", "")
        if self.headers.get("Transfer-Encoding") or not (length.isascii() and length.isdigit()):
            raise Refused(HTTPStatus.LENGTH_REQUIRED)
        if len(length) > 9 or int(length) > MOST:
            raise Refused(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "too_large")
        try:
            told = json.loads(self.rfile.read(int(length)))
        except (ValueError, RecursionError) as error:
            raise Refused(HTTPStatus.BAD_REQUEST) from error
        if not isinstance(told, dict):
            raise Refused(HTTPStatus.BAD_REQUEST)
        return told

    def _check_token(self, given: str) -> None:
        if not hmac.compare_digest(given.encode(), self.site.token.encode()):
            raise Refused(HTTPStatus.FORBIDDEN)

    def _check_origin(self) -> None:
        """Refuse what a page of another origin asks for; a browser says where it is from."""
        host = self.headers.get("Host", "")
        if any(o != f"http://{host}" for o in self.headers.get_all("Origin", [])):
            raise Refused(HTTPStatus.FORBIDDEN)
        if self.command != "GET" and self.headers.get("Sec-Fetch-Site", "same-origin") not in (
            "same-origin",
            "none",
        ):
            raise Refused(HTTPStatus.FORBIDDEN)

    def _json(self, told: object, status: HTTPStatus = HTTPStatus.OK) -> None:
        self.answer(JSON, json.dumps(told).encode(), status)
