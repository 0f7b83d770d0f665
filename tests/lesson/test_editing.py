"""`lesson --edit`: one file and nothing else, for its own page alone; the page follows it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from edited_files import GOOD, Edited, processes

from lesson import editing
from lesson.editing import cell_file, site
from lesson.editing.readings import NAMES


@pytest.fixture
def path(tmp_path: Path) -> Path:
    found = tmp_path / "own.py"
    found.write_text(GOOD, encoding="utf-8")
    return found


@pytest.fixture
def edited(path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Edited]:
    monkeypatch.setattr(editing, "context", processes)
    found = Edited(path)
    yield found
    found.end()


class TestTheServer:
    """For its own page, with its token, by its own names; it gives and takes one file."""

    def test_the_page_needs_the_token(self, edited: Edited) -> None:
        status, page, headers = edited.ask(f"/?token={edited.token}", X_Token=None, Origin=None)
        assert status == 200 and "<textarea" in page and edited.token not in page
        policy = headers["Content-Security-Policy"]
        assert policy.startswith("default-src 'none'") and "frame-ancestors 'none'" in policy
        nonce = re.search(r"script-src 'nonce-([\w-]+)'; style", policy)
        assert nonce and page.count(f'nonce="{nonce[1]}"') == 3
        assert "nonce" not in page.replace(nonce[1], "").replace('nonce=""', "")
        assert headers["Cache-Control"] == "no-store" and headers["X-Frame-Options"] == "DENY"
        assert not [name for name in headers if name.lower().startswith("access-control")]
        for wrong in ("", "?token=", "?token=" + "a" * 43, f"?token={edited.token}a", "?x=é"):
            status, page, _ = edited.ask("/" + wrong.replace("é", "%C3%A9"), X_Token=None)
            assert status == 403 and "keeper" not in page

    def test_every_door_has_its_locks(self, edited: Edited) -> None:
        text, own = "evil = 1\n", f"127.0.0.1:{edited.port}"
        good: dict[str, str | None] = {}
        locks: list[tuple[dict[str, str | None], int]] = [
            ({"X_Token": None}, 403),
            ({"X_Token": "a" * 43}, 403),
            ({"X_Token": edited.token[:-1]}, 403),
            ({"Host": "evil.example"}, 421),
            ({"Host": f"evil.example:{edited.port}"}, 421),
            ({"Host": "127.0.0.1"}, 421),
            ({"Origin": "http://evil.example"}, 403),
            ({"Origin": "null"}, 403),
            ({"Origin": f"https://{own}"}, 403),
            ({"Origin": f"http://localhost:{edited.port}"}, 403),
            ({"Origin": f"http://127.0.0.1:{edited.port + 1}"}, 403),
        ]
        posts: list[tuple[dict[str, str | None], int]] = [
            ({"Origin": None}, 403),
            ({"Sec_Fetch_Site": "cross-site"}, 403),
            ({"Sec_Fetch_Site": "same-site"}, 403),
            ({"Content_Type": "text/plain"}, 415),
            ({"Content_Type": None}, 415),
            ({"Content_Length": str(site.MOST + 1)}, 413),
            ({"Content_Length": "9" * 30}, 413),
            ({"Content_Length": "-1"}, 411),
        ]
        for headers, status in locks:
            found = edited.ask("/news?after=0", **headers)
            assert found[0] == status and "keeper" not in found[1], headers
        for headers, status in [*locks, *posts]:
            for door in ("/save", "/choose"):
                body = {"text": text, "seen": None, "cell": "evil"}
                found = edited.ask(door, body, **headers)
                assert found[0] == status and "keeper" not in found[1], (door, headers)
        assert edited.path.read_text(encoding="utf-8") == GOOD
        host = f"localhost:{edited.port}"
        assert edited.ask("/news?after=0", Host=host, Origin=f"http://{host}")[0] == 200
        assert edited.ask("/choose", {"cell": "keeper"}, **good)[0] == 200

    @pytest.mark.parametrize(
        "door",
        [
            "/own.py",
            "/../own.py",
            "/%2e%2e/own.py",
            "/frame/../own.py",
            "/frame/",
            "/frame/" + "0" * 64,
            "//etc/passwd",
            "/etc/passwd",
            "/save",
            "/news/",
            "/lesson",
        ],
    )
    def test_nothing_else_is_there(self, edited: Edited, door: str) -> None:
        status, told, _ = edited.ask(door)
        assert status == 404 and "keeper" not in told
        status, told, _ = edited.ask(door, {"text": "a", "seen": None, "path": "/etc/passwd"})
        assert status == (200 if door == "/save" else 404)
        assert [*edited.path.parent.iterdir()] == [edited.path]

    @pytest.mark.parametrize("method", ["PUT", "DELETE", "OPTIONS", "HEAD", "PATCH", "TRACE"])
    def test_other_methods_are_not_known(self, edited: Edited, method: str) -> None:
        status, _, headers = edited.ask("/save", method=method)
        assert status == 501
        assert not [name for name in headers if name.lower().startswith("access-control")]

    @pytest.mark.parametrize(
        "body", [[], "text", {}, {"text": 3, "seen": None}, {"text": "a", "seen": 3}, {"seen": ""}]
    )
    def test_bad_bodies_are_refused(self, edited: Edited, body: object) -> None:
        assert edited.ask("/save", body)[0] == 400
        assert edited.path.read_text(encoding="utf-8") == GOOD

    def test_a_save_is_told_what_stands_on_disk(self, edited: Edited) -> None:
        seen = edited.news()["held"]["version"]
        status, held = edited.save(GOOD + "# mine\n", seen)
        assert status == 200 and edited.path.read_text(encoding="utf-8") == GOOD + "# mine\n"
        status, told = edited.save(GOOD, seen)
        assert status == 409 and told["held"]["text"] == GOOD + "# mine\n"
        assert told["held"]["version"] == held["version"]
        status, _ = edited.save(GOOD, None)
        assert status == 200 and edited.path.read_text(encoding="utf-8") == GOOD
        status, told = edited.save("#" * (cell_file.LARGEST + 1), None)
        assert status == 507 and told["problem"] == "too_large"
        status, told = edited.save("a = '\ud800'", None)
        assert status == 507 and told["problem"] == "unwritable"
        assert edited.path.read_text(encoding="utf-8") == GOOD


class TestFollowing:
    """The page is told of every reading of what the file holds, and of what is wrong in it."""

    def test_a_save_is_followed(self, edited: Edited) -> None:
        news = edited.until(lambda n: n["cell"] == "keeper" and n["run"])
        readings: dict[str, Any] = {}

        def all_read(news: dict[str, Any]) -> bool:
            readings.update({one["name"]: one for one in news["readings"]})
            return set(readings) == set(NAMES)

        edited.until(all_read)
        assert "<math" in readings["equations"]["html"] and "<svg" in readings["figure"]["html"]
        for name in ("sliders", "stepper"):
            status, page, headers = edited.ask(f"/frame/{readings[name]['frame']}", X_Token=None)
            assert status == 200 and f'data-part="{name}"' in page
            assert "sandbox allow-scripts" in headers["Content-Security-Policy"]
        # a mistake, told at its line; then another cell
        _, held = edited.save(GOOD.replace("p.W_n @", "p.W_m @"), news["held"]["version"])
        news = edited.until(lambda n: n["error"])
        assert news["error"]["line"] == 9 and set(news["error"]["words"]) == {"en", "ko", "zh"}
        other = GOOD.replace("keeper", "other").replace("now.k", "now.z")
        edited.save(GOOD + other.partition("tanh\n")[2], held["version"])
        news = edited.until(lambda n: n["cells"] == ["keeper", "other"] and not n["error"])
        assert news["cell"] == "keeper"
        assert edited.ask("/choose", {"cell": "other"})[0] == 200
        edited.until(lambda n: n["cell"] == "other")

    def test_another_editor_and_a_deleted_file(self, edited: Edited) -> None:
        edited.until(lambda n: n["cell"] == "keeper")
        edited.path.write_text(GOOD.replace("def keeper", "def renamed"), encoding="utf-8")
        news = edited.until(lambda n: n["cell"] == "renamed")
        assert "def renamed" in news["held"]["text"]
        edited.path.unlink()
        news = edited.until(lambda n: n["held"]["problem"] == "deleted")
        assert edited.save(GOOD, news["held"]["version"])[0] == 200
        edited.until(lambda n: n["cell"] == "keeper" and not n["held"]["problem"])
