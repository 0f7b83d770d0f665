"""What stands in the page's head for previews, and the picture beside the page."""

from __future__ import annotations

import re
import struct
from pathlib import Path

import pytest
from lesson_pages import rendered

from lesson import languages, preview
from lesson.chapters import glossary
from lesson.prose import Texts
from tinygrad_lstm import cells
from tinygrad_lstm.errors import DataError


def metas(page: str) -> dict[str, str]:
    head = page[: page.index("<body")]
    return dict(re.findall(r'<meta (?:name|property)="([^"]+)" content="([^"]*)"', head))


def test_the_head_tells_what_the_page_is() -> None:
    page, own, _ = rendered()
    assert metas(page)["og:title"] == languages.texts("en", "page")["title"]
    assert metas(page)["og:description"] == metas(page)["description"] != metas(own)["description"]
    assert metas(page)["og:type"] == "article" and metas(page)["twitter:card"] == "summary"
    assert metas(page)["og:locale"] == "en_US"
    assert "og:image" not in metas(page)  # which needs a whole address
    assert 'rel="icon" href="data:image/svg+xml,' in page
    assert 40 < len(metas(page)["description"]) < 200


@pytest.mark.parametrize(
    ("address", "page", "picture"),
    [
        ("https://a.org/lstm/how.html", "https://a.org/lstm/how.html", "https://a.org/lstm/x.png"),
        ("http://a.org", "http://a.org/", "http://a.org/x.png"),
        ("https://a.org/b/#ko", "https://a.org/b/", "https://a.org/b/x.png"),
    ],
)
def test_a_preview_names_a_picture_beside_the_page(address: str, page: str, picture: str) -> None:
    found = preview.read_address(address, Path("build/x.html"))
    assert (found.page, found.picture) == (page, picture)


@pytest.mark.parametrize("address", ["lesson.html", "file:///a.html", 'https://a.org/"><script>'])
def test_what_is_no_address_is_refused(address: str) -> None:
    with pytest.raises(DataError, match=r"https://example.org/x.html"):
        preview.read_address(address, Path("x.html"))


def test_the_picture_has_the_shape_of_previews() -> None:
    png = preview.picture(cells.rnn)
    assert struct.unpack(">II", png[16:24]) == (preview.WIDTH, preview.HEIGHT)
    assert 5_000 < len(png) < 300_000


def test_terms_lead_to_the_glossary_and_tell_what_they_mean() -> None:
    page = (
        "<p>The <em>forget gate</em>, a <strong>Gate</strong>, <em>so</em>, <em>망각 게이트</em>."
    )
    linked = glossary.linked(page)
    assert re.findall(r'href="#term-([\w-]+)"', linked) == ["forget-gate", "gate", "forget-gate"]
    means = languages.texts("ko", "meanings")["forget-gate"]
    assert f'title="{means}"' in linked and "<em>so</em>" in linked
    assert re.sub(r"</?a[^>]*>", "", linked) == page


def test_every_term_has_a_meaning_in_every_language() -> None:
    for tag in languages.languages():
        terms, meanings = (languages.own_texts(tag, name) for name in ("glossary", "meanings"))
        assert list(terms) == list(meanings)
    assert Texts("meanings").plain("gate")["en"].endswith(".")


def test_papers_are_linked() -> None:
    linked = [key for key, paper in cells.papers().items() if paper.get("link")]
    assert len(linked) >= len(cells.papers()) - 1
    assert all(cells.papers()[key]["link"].startswith("https://") for key in linked)
