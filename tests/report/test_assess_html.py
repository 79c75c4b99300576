"""The page of `m2g assess --format html`: whole, closed, and any name is text."""

from __future__ import annotations

import base64
import hashlib
import re
from html.parser import HTMLParser

import msgspec
import pytest

from m2g.core.results import AssessedProblem, AssessedRewrite, AssessedVersion, Assessment, PackageSet
from m2g.report import assess

TAGS = frozenset("html head meta title style body h1 p details summary b table tr th td code br footer".split())
HOSTILE = [
    "<script>alert(1)</script>",
    "</title><img src=x onerror=alert(1)>",
    "'\"><svg/onload=alert(1)>",
    "&lt;b&gt;",
    "</style><style>body{display:none}",
    "--><!--",
    "javascript:alert(1)",
    "a\x00b\x1b[31m",
    "\u202etxt.exe",
    "</code></td></table>" * 50,
]


class Page(HTMLParser):
    """The tags, attributes and text of a page, as a browser reads them."""

    def __init__(self, html: str) -> None:
        super().__init__(convert_charrefs=True)
        self.tags: list[str] = []
        self.attributes: dict[str, list[str]] = {}
        self.open: list[str] = []
        self.text = ""
        self.declarations: list[str] = []
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.open += [] if tag in ("meta", "br") else [tag]
        for name, value in attrs:
            self.attributes.setdefault(f"{tag}.{name}", []).append(value or "")

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data

    def handle_decl(self, decl: str) -> None:
        self.declarations.append(decl)

    def handle_comment(self, data: str) -> None:
        raise AssertionError(f"a comment: {data}")


def assessment(text: str) -> Assessment:
    """An assessment in which every text is this one."""
    version = AssessedVersion(
        model=text, slug="wine", version=text, wanted=(text,), outcome="mlserver-image", server=text, python=text,
        flavor=text, packages=text, why=text, step=text, log_again=text,
        problems=(AssessedProblem(kind="storage", message=text, step=text),),
    )  # fmt: skip
    return Assessment(
        registry=text, kserve="0.21", models=2, idle=(text,), next=text, written=(text,),
        versions=(version, msgspec.structs.replace(version, outcome="serves")),
        packages=(PackageSet(id=text, python=text, requirements=(text,), versions=(text,)),),
        rewrites=(AssessedRewrite(from_="mlflow-artifacts:/", to=text),),
    )  # fmt: skip


@pytest.mark.attack
@pytest.mark.parametrize("text", HOSTILE)
def test_any_name_is_text(text: str) -> None:
    page = Page(assess.render(assessment(text), "html", 80))
    plain = Page(assess.render(assessment("x"), "html", 80))
    assert page.tags == plain.tags
    assert set(page.tags) <= TAGS
    assert page.attributes.keys() == plain.attributes.keys()
    assert page.open == []
    assert not re.search("[\x00-\x08\x0b-\x1f\u202a-\u202e\u2066-\u2069]", page.text)


@pytest.mark.attack
def test_the_browser_may_load_and_run_nothing() -> None:
    html = assess.render(assessment("x"), "html", 80)
    page = Page(html)
    assert page.declarations == ["DOCTYPE html"]
    style = re.search("<style>(.*)</style>", html, re.DOTALL)
    assert style is not None
    digest = base64.b64encode(hashlib.sha256(style[1].encode()).digest()).decode()
    policy = next(value for value in page.attributes["meta.content"] if "default-src" in value)
    assert policy == f"default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'"
    assert "url(" not in style[1]
    assert not {"a", "script", "img", "link", "iframe", "form"} & set(page.tags)


def test_each_count_opens_into_the_names_and_what_changes_them() -> None:
    page = Page(assess.render(assessment("wine"), "html", 80))
    assert page.tags.count("details") == page.tags.count("summary") == 5
    assert "1these need an image with their own packages and MLServer" in page.text
    assert "m2g assess --write" in page.text
