"""The report: everything escaped, nothing asked of the network, tables that sort in a browser, figures that are there."""

import os
import re
from html.parser import HTMLParser

import chromium
import numpy as np
import pytest

from neuromem import ExactStore
from neuromem.retention import RandomBits, Report, report, run_suite

NASTY = "<img src=x onerror=alert(1)> & \"quoted\" 'too' </script><script>throw 1</script>"


class Recogniser:
    """A store that only recognises."""

    def __init__(self):
        self.inner = ExactStore(64)
        self.item_spec = self.inner.item_spec

    def __len__(self):
        return len(self.inner)

    def write(self, items):
        self.inner.write(items)

    def familiarity(self, items):
        return self.inner.familiarity(items)


@pytest.fixture(scope="module")
def found():
    return run_suite({NASTY: ExactStore(64, 40, "oldest"), "only recognises": Recogniser()}, RandomBits(64), size="tiny")


@pytest.fixture(scope="module")
def page(found, tmp_path_factory):
    path = tmp_path_factory.mktemp("report") / "page.html"
    Report(found, f"Title {NASTY}", {"note": NASTY}).save_html(path)
    return path


class Elements(HTMLParser):
    def __init__(self):
        super().__init__()
        self.seen, self.open = [], []

    def handle_starttag(self, tag, attributes):
        self.seen.append((tag, dict(attributes)))
        if tag not in ("meta", "link", "img", "br"):
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


def test_page_is_well_formed_and_refers_to_nothing(page):
    text = page.read_text()
    elements = Elements()
    elements.feed(text)
    assert not elements.open
    tags = [tag for tag, _ in elements.seen]
    assert tags.count("script") == 1 and tags.count("img") == 12 and tags.count("table") >= 14
    for _, attributes in elements.seen:
        assert not [name for name in attributes if name.startswith("on")]
        for name in ("src", "href"):
            assert attributes.get(name, "data:").startswith("data:")
    assert not re.search(r"url\(|@import|https?://", text)
    assert "&lt;img src=x onerror" in text


def test_text_names_what_was_not_measured(found):
    told = Report(found).text()
    assert "only recognises: no recall: it has no complete" in told
    assert "only recognises: no capacity: it has no complete" in told
    assert "recognises" in told.partition("---")[0] and "half-life, items" in told


def test_files_are_those_of_the_result(found, tmp_path):
    from neuromem import ProbeResult

    paths = Report(found).save(tmp_path)
    assert [path.name for path in paths] == ["retention-table.csv", "retention-table.json", "retention.txt", "retention.png"]
    assert ProbeResult.load(paths[1]) == found.result
    assert np.array_equal(ProbeResult.load(paths[0]).table["value"], found.result.table["value"], equal_nan=True)
    assert paths[3].read_bytes().startswith(b"\x89PNG")


def test_report_runs_saves_and_leaves_memories_alone(tmp_path):
    memory = ExactStore(32)
    made = report(memory, RandomBits(32), size="tiny", parts=["recognition"], out=tmp_path, html_file=tmp_path / "x.html")
    assert len(memory) == 0 and made.found.systems == ["ExactStore"]
    assert (tmp_path / "x.html").exists() and (tmp_path / "retention.png").exists()


@pytest.fixture
def browser():
    path = chromium.found()
    if path is None:
        reason = f"none of {', '.join(chromium.NAMES)} is installed"
        if os.environ.get("NEUROMEM_REQUIRE_CHROMIUM") == "1":
            pytest.fail(f"NEUROMEM_REQUIRE_CHROMIUM=1 and {reason}")
        pytest.skip(reason)
    with chromium.Browser(path) as opened:
        yield opened


COLUMN = """[...document.querySelectorAll('table')].find(t => t.tHead.textContent.includes('condition')).tBodies[0]"""
VALUES = "[...{body}.rows].map(row => row.cells[{place}].dataset.value ?? row.cells[{place}].textContent)"


def as_numbers(cells):
    return [float(cell) if cell else cell for cell in cells]


def test_page_in_a_browser(page, browser):
    browser.open(page.as_uri())
    assert browser.evaluate("document.title") == f"Title {NASTY}"
    pictures = browser.evaluate("[...document.images].map(image => image.complete && image.naturalWidth)")
    assert len(pictures) == 12 and min(pictures) > 300
    heads = browser.evaluate(f"[...{COLUMN}.parentNode.tHead.rows[0].cells].map(cell => cell.textContent)")
    place = heads.index("value")
    values = VALUES.format(body=COLUMN, place=place)
    before = browser.evaluate(values)
    numbers = sorted(float(value) for value in before if value)
    empty = [""] * before.count("")
    assert [float(value) for value in before if value] != numbers, "sorted already: nothing can be told from sorting it"
    click = f"{COLUMN}.parentNode.tHead.rows[0].cells[{place}].click()"
    browser.evaluate(click)
    assert as_numbers(browser.evaluate(values)) == numbers + empty
    browser.evaluate(click)
    assert as_numbers(browser.evaluate(values)) == numbers[::-1] + empty
    words = VALUES.format(body=COLUMN, place=heads.index("condition"))
    browser.evaluate(f"{COLUMN}.parentNode.tHead.rows[0].cells[{heads.index('condition')}].click()")
    assert browser.evaluate(words) == sorted(browser.evaluate(words))
    assert browser.complaints() == [] and browser.requests() == []


def test_a_browser_would_tell_of_requests_and_errors(tmp_path, browser):
    """The check above can fail."""
    path = tmp_path / "bad.html"
    path.write_text("<img src='http://127.0.0.1:9/picture.png'><script>throw new Error('found')</script>")
    browser.open(path.as_uri())
    assert browser.requests() and browser.complaints()
