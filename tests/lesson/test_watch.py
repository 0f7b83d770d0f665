"""`--watch`: the page follows the files, shows errors until they are mended, serves nobody else."""

from __future__ import annotations

import http.client
import json
import re
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import playwright.sync_api as playwright
import pytest

from lesson import watching
from lesson.serving import ServeError
from tinygrad_lstm.cell_files import find
from tinygrad_lstm.errors import CellError

PAGE = (
    "<!doctype html><html lang=en><head><title>t</title>"
    '<meta http-equiv="Content-Security-Policy" content="default-src \'none\'; '
    "style-src 'unsafe-inline'; script-src 'unsafe-inline'; img-src data:\"></head>"
    "<body class=x><h1>{}</h1></body></html>"
)
GOOD = """
from tinygrad_lstm import cell, tanh


@cell(state="h")
def own(now, prev, x, p):
    now.h = tanh(prev.h)
"""


class Watched:
    """A watch in a thread of its own, of a file whose first word is the page's heading."""

    def __init__(self, file: Path, make: Callable[[watching.Check], str], **options: Any) -> None:
        self.stop, self.address = threading.Event(), ""
        ready = threading.Event()

        def started(address: str) -> None:
            self.address = address
            ready.set()

        self.thread = threading.Thread(
            target=watching.watch,
            args=(make, lambda: [file]),
            kwargs={"started": started, "stop": self.stop, "interval": 0.02, **options},
        )
        self.thread.start()
        assert ready.wait(60)
        self.port = int(self.address.rsplit(":", 1)[1].strip("/"))

    def get(self, path: str = "/", host: str | None = None, method: str = "GET") -> tuple[int, str]:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        headers = {} if host is None else {"Host": host}
        connection.request(method, path, headers=headers)
        answer = connection.getresponse()
        found = answer.status, answer.read().decode()
        connection.close()
        return found

    def until(self, words: str) -> str:
        for _ in range(3000):
            page = self.get()[1]
            if words in page:
                return page
            time.sleep(0.02)
        raise AssertionError(f"{words!r} is not on the page: {page[-600:]}")

    def end(self) -> None:
        self.stop.set()
        self.thread.join(60)
        assert not self.thread.is_alive()


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "page.txt"
    path.write_text("first", encoding="utf-8")
    return path


@pytest.fixture
def watched(file: Path) -> Iterator[Watched]:
    def make(check: watching.Check) -> str:
        words = file.read_text(encoding="utf-8")
        if words.startswith("bad"):
            raise CellError(words)
        return PAGE.format(words)

    found = Watched(file, make)
    yield found
    found.end()


def test_a_save_rebuilds_the_page(watched: Watched, file: Path) -> None:
    watched.until("<h1>first</h1>")
    file.write_text("second", encoding="utf-8")
    assert "<h1>first</h1>" not in watched.until("<h1>second</h1>")


def test_an_error_is_shown_above_the_last_lesson_until_it_is_mended(
    watched: Watched, file: Path
) -> None:
    watched.until("<h1>first</h1>")
    file.write_text("bad <b>word</b>", encoding="utf-8")
    page = watched.until("bad &lt;b&gt;word&lt;/b&gt;")
    assert "<h1>first</h1>" in page
    assert '<body class=x><aside class="watch-error" role="alert"><p>' in page
    file.write_text("mended", encoding="utf-8")
    assert "bad" not in watched.until("<h1>mended</h1>")


def test_an_error_before_the_first_lesson_has_a_page_of_its_own(file: Path) -> None:
    file.write_text("x", encoding="utf-8")

    def make(check: watching.Check) -> str:
        if file.read_text(encoding="utf-8") == "x":
            raise CellError("no cell here")
        return PAGE.format("here")

    watched = Watched(file, make)
    page = watched.until("no cell here")
    assert 'lang="ko"' in page and 'lang="zh"' in page
    file.write_text("ok", encoding="utf-8")
    watched.until("<h1>here</h1>")
    watched.end()


def test_only_the_page_and_only_for_this_machine(watched: Watched, file: Path) -> None:
    watched.until("<h1>first</h1>")
    for path in ("/page.txt", "/../page.txt", f"/{file}", "/?x", "/version/", "/lesson.html"):
        status, said = watched.get(path)
        assert status == 404 and "first" not in said, path
    for host in ("evil.example", f"evil.example:{watched.port}", "127.0.0.1", "", "127.0.0.1:1"):
        for path in ("/", "/version"):
            status, said = watched.get(path, host)
            assert status == 421 and "first" not in said, host
    assert watched.get("/", f"localhost:{watched.port}")[0] == 200
    assert watched.get("/", method="POST")[0] == 501
    try:
        others = socket.getaddrinfo(socket.gethostname(), None, socket.AF_INET)
    except socket.gaierror:  # a machine need not know its own name
        others = []
    for address in {str(found[4][0]) for found in others} - {"127.0.0.1"}:
        with pytest.raises(OSError):
            socket.create_connection((address, watched.port), timeout=2)


def test_the_served_page_may_ask_only_this_server(watched: Watched) -> None:
    page = watched.until("<h1>first</h1>")
    assert "default-src 'none'; connect-src 'self';" in page
    assert page.count("fetch(") == 1


def test_the_news_are_the_version_and_whether_a_newer_one_is_in_the_making(file: Path) -> None:
    go_on = threading.Event()

    def make(check: watching.Check) -> str:
        words = file.read_text(encoding="utf-8")
        if words == "second":
            go_on.wait(60)
        return PAGE.format(words)

    watched = Watched(file, make)
    page = watched.until("<h1>first</h1>")
    first = json.loads(watched.get("/version")[1])
    assert not first["building"] and f'data-version="{first["version"]}"' in page
    file.write_text("second", encoding="utf-8")
    for _ in range(3000):
        news = json.loads(watched.get("/version")[1])
        if news["building"]:
            break
        time.sleep(0.02)
    assert news == {"version": first["version"], "building": True}
    go_on.set()
    watched.until("<h1>second</h1>")
    news = json.loads(watched.get("/version")[1])
    assert not news["building"] and news["version"] != first["version"]
    watched.end()


def test_a_save_during_a_build_begins_again(file: Path) -> None:
    begun = []
    first = threading.Event()

    def make(check: watching.Check) -> str:
        words = file.read_text(encoding="utf-8")
        begun.append(words)
        first.set()
        while words == "first":
            check()
            time.sleep(0.01)
        return PAGE.format(words)

    watched = Watched(file, make)
    assert first.wait(60) and begun == ["first"]
    file.write_text("second", encoding="utf-8")
    watched.until("<h1>second</h1>")
    assert begun == ["first", "second"]
    watched.end()


def test_a_mistake_of_ours_does_not_end_the_watching(
    file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def make(check: watching.Check) -> str:
        if file.read_text(encoding="utf-8") == "first":
            raise ZeroDivisionError("ours")
        return PAGE.format("fine")

    watched = Watched(file, make)
    watched.until("ZeroDivisionError: ours")
    assert "Traceback" in capsys.readouterr().err
    file.write_text("second", encoding="utf-8")
    watched.until("<h1>fine</h1>")
    watched.end()


def test_a_port_in_use_is_one_message(watched: Watched, file: Path) -> None:
    with pytest.raises(ServeError, match=f"port {watched.port} of this machine cannot"):
        watching.watch(lambda check: "", lambda: [file], port=watched.port)
    with pytest.raises(ServeError, match="port 70000"):
        watching.watch(lambda check: "", lambda: [file], port=70_000)


@pytest.mark.parametrize(
    ("change", "told", "marked"),
    [
        (("tanh(prev.h)", "tanh(prev.h"), "line 7 does not run:\n  SyntaxError", "→    7  "),
        (("tanh(prev.h)", "tanh(prev.k)"), "'k' is not a state", "→    7      now.h = tanh(p"),
        (("now.h = ", "now.g = "), "the state h is never written", "→    6  def own("),
        (('state="h"', "state=3"), "line 5 does not run", "→    5  @cell(state=3)"),
        (("tanh(prev.h)", "prev.h @ x"), "own.py line 7: now.h = prev.h @ x", "→    7  "),
        (("def own", "def other"), "no cell 'own'; the file has other", ""),
    ],
)
def test_an_error_is_told_with_its_line(
    tmp_path: Path, change: tuple[str, str], told: str, marked: str
) -> None:
    path = tmp_path / "own.py"
    path.write_text(GOOD.replace(*change), encoding="utf-8")
    with pytest.raises(Exception) as caught:
        find(f"{path}:own").program(hidden=3, inputs=2)
    words = watching.explained(caught.value, path)
    assert told in words and marked in words
    assert words.count("→") == (1 if marked else 0)


@pytest.mark.browser
def test_a_browser_follows(watched: Watched, file: Path) -> None:
    found = shutil.which("chromium") or shutil.which("google-chrome")
    if not found:
        pytest.skip("no Chromium on this machine")
    watched.until("<h1>first</h1>")
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=found, args=["--no-sandbox"])
        tab = browser.new_page()
        said: list[str] = []
        tab.on("console", lambda message: said.append(message.text))
        tab.goto(watched.address)
        heading = tab.locator("h1")
        file.write_text("second", encoding="utf-8")
        playwright.expect(heading).to_have_text("second")
        file.write_text("bad\nword", encoding="utf-8")
        playwright.expect(tab.locator("[role=alert] pre")).to_have_text("bad\nword")
        playwright.expect(heading).to_have_text("second")
        file.write_text("third", encoding="utf-8")
        playwright.expect(heading).to_have_text("third")
        playwright.expect(tab.locator("[role=alert]")).to_have_count(0)
        assert said == []
        watched.end()
        playwright.expect(tab.locator('[data-note="gone"]')).to_be_visible()
        browser.close()


def test_the_command_follows_a_cell_and_ends_with_ctrl_c(tmp_path: Path) -> None:
    path = tmp_path / "mine.py"
    path.write_text(GOOD, encoding="utf-8")  # without parameters: an error that takes no training
    words = ["lesson", "--watch", "--no-open", "--cell", f"{path}:own", "-o", "lesson.html"]
    code = f"from lesson.commands import main; raise SystemExit(main({words!r}))"
    running = subprocess.Popen(
        [sys.executable, "-c", code],
        cwd=tmp_path,
        encoding="utf-8",
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert running.stdout
    first = running.stdout.readline()
    found = re.match(r"The lesson is at (http://127\.0\.0\.1:\d+/) and follows (.*)\. Ctrl", first)
    assert found and found[2] == str(path)
    port = int(found[1].strip("/").rsplit(":", 1)[1])
    for _ in range(1200):
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)  # and no proxy
        connection.request("GET", "/")
        page = connection.getresponse().read().decode()
        connection.close()
        if "no parameters" in page:
            break
        time.sleep(0.05)
    assert "cell &#39;own&#39; has no parameters" in page
    assert "→    6  def own(now, prev, x, p):" in page
    running.send_signal(signal.SIGINT)
    said, wrong = running.communicate(timeout=60)
    assert running.returncode == 0 and wrong == ""
    assert said == "\nThe watching has ended.\n"
    assert not (tmp_path / "lesson.html").exists()
