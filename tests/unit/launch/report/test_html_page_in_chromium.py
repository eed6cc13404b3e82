"""The HTML page in a real browser: nothing fails, nothing is fetched, it fits a phone, and its text is legible."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import pytest

from launch.report.html_page import html
from tests.unit.launch.report.page_data import example

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
pytestmark = pytest.mark.skipif(
    CHROMIUM is None, reason="no Chromium on this host (apt-get install chromium)"
)
# Of every text that is shown: its contrast to the nearest background (WCAG 2.2), with the first words.
CONTRASTS = """() => {
  const rgb = (text) => text.match(/[\\d.]+/g).map(Number);
  const luminance = (c) => c.slice(0, 3).map((v) => v / 255)
    .map((v) => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4)
    .reduce((sum, v, i) => sum + v * [0.2126, 0.7152, 0.0722][i], 0);
  const opaque = (node) => {
    for (let n = node; n; n = n.parentElement) {
      const c = rgb(getComputedStyle(n).backgroundColor);
      if (c.length < 4 || c[3] > 0) return c;
    }
    return [255, 255, 255];
  };
  const shown = [...document.body.querySelectorAll('*')].filter((node) =>
    [...node.childNodes].some((child) => child.nodeType === 3 && child.textContent.trim()));
  return shown.map((node) => {
    const style = getComputedStyle(node);
    const colour = rgb(node instanceof SVGElement ? style.fill : style.color);
    const [a, b] = [luminance(colour), luminance(opaque(node))].sort((x, y) => y - x);
    return [node.textContent.trim().slice(0, 30), (a + 0.05) / (b + 0.05)];
  });
}"""


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, timeout=60_000)
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("page") / "report.html"
    path.write_text(html(example()), encoding="utf-8")
    return path


def opened(browser: Browser, file: Path, width: int, scheme: Literal["light", "dark"] = "light") -> Page:
    context = browser.new_context(viewport={"width": width, "height": 800}, color_scheme=scheme)
    page = context.new_page()
    page.goto(file.as_uri())
    return page


def test_nothing_is_fetched_and_nothing_fails(browser: Browser, file: Path) -> None:
    page = browser.new_context().new_page()
    messages: list[str] = []
    requests: list[str] = []
    page.on("console", lambda message: messages.append(message.text))
    page.on("pageerror", lambda error: messages.append(str(error)))
    page.on("request", lambda request: requests.append(request.url))
    page.goto(file.as_uri())
    assert (messages, requests) == ([], [file.as_uri()])
    assert page.locator("svg").count() == 4


def test_a_script_that_is_added_to_the_page_does_not_run(browser: Browser, file: Path) -> None:
    changed = file.with_name("changed.html")
    changed.write_text(
        file.read_text(encoding="utf-8").replace("</main>", "<script>document.title='x'</script></main>")
    )
    assert "benchmark" in opened(browser, changed, 800).title()


@pytest.mark.parametrize("width", [360, 768, 1280])
def test_the_page_fits_its_window(browser: Browser, file: Path, width: int) -> None:
    page = opened(browser, file, width)
    assert page.evaluate("document.documentElement.scrollWidth") == width
    for chart in page.locator("svg").all():
        box = chart.bounding_box()
        assert box
        assert 250 < box["width"] <= width


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_all_text_is_legible(browser: Browser, file: Path, scheme: Literal["light", "dark"]) -> None:
    page = opened(browser, file, 1280, scheme)
    page.evaluate("document.querySelectorAll('details').forEach((one) => { one.open = true; })")
    found = page.evaluate(CONTRASTS)
    assert len(found) > 100
    assert {text: round(contrast, 2) for text, contrast in found if contrast < 4.5} == {}


def test_the_dark_page_is_dark_and_the_printed_one_is_not(browser: Browser, file: Path) -> None:
    background = "getComputedStyle(document.body).backgroundColor"
    page = opened(browser, file, 1280, "dark")
    assert page.evaluate(background) == "rgb(20, 23, 26)"
    page.emulate_media(media="print")
    assert page.evaluate(background) == "rgb(253, 253, 252)"


def test_no_text_of_a_chart_is_cut_by_its_edge(browser: Browser, file: Path) -> None:
    page = opened(browser, file, 360)
    outside = page.evaluate("""() => [...document.querySelectorAll('svg')].flatMap((svg) => {
      const frame = svg.getBoundingClientRect();
      return [...svg.querySelectorAll('text')].filter((text) => {
        const box = text.getBoundingClientRect();
        return box.left < frame.left - 2 || box.right > frame.right + 2 || box.bottom > frame.bottom + 2;
      }).map((text) => text.textContent);
    })""")
    assert outside == []


def test_the_keyboard_reaches_tables_and_opens_details(browser: Browser, file: Path) -> None:
    page = opened(browser, file, 360)
    reached = []
    for _ in range(12):
        page.keyboard.press("Tab")
        reached.append(
            page.evaluate("document.activeElement.tagName + ':' + (document.activeElement.ariaLabel || '')")
        )
        if page.evaluate("document.activeElement.textContent") == "Data of this page (JSON)":
            break
    assert {"DIV:Metrics", "DIV:Groups", "SUMMARY:"} <= set(reached)
    page.keyboard.press("Enter")
    assert page.locator("details[open] pre").last.inner_text().startswith("[")
