"""The page in a real browser, from a file, as a release manager opens it."""

import contextlib
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, expect, sync_playwright

from penstock.reporting.content_policy import policy_to_serve
from penstock.reporting.page import as_page
from penstock.reporting.report import Report

pytestmark = pytest.mark.servers

MakeReport = Callable[..., Report]
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
HOSTILE = (
    "<script>document.title='owned'</script>"
    "</style></script><img src=x onerror=\"document.title='owned'\">"
    "<svg onload=\"document.title='owned'\"><iframe srcdoc=\"<script>top.document.title='owned'</script>\"></iframe>"
    '<meta http-equiv="Content-Security-Policy" content="script-src \'unsafe-inline\'">'
    "<base href='https://evil.example/'><link rel=stylesheet href=https://evil.example/x.css>"
    "<form action=https://evil.example/><input name=x autofocus onfocus=\"document.title='owned'\"></form>"
    ']]>--><!-- {{ 7*7 }} {% raw %} ${7*7} javascript:alert(1) " onmouseover="document.title=\'owned\'" x="'
    "\u202egnirts desrever\u2066 \u200b\ufeff\x1b[31m\x85 \U000e0041\u0300" + "\u0301" * 400
)


@dataclass
class Opened:
    """A page that is open, and everything that it said or asked for."""

    page: Page
    said: list[str] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)

    def overflow(self) -> int:
        """By how many pixels the page is wider than its window."""
        return int(self.page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth"))


Open = Callable[..., "contextlib.AbstractContextManager[Opened]"]


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Chromium of the system; where there is none, these tests fail."""
    chromium = shutil.which("chromium")
    assert chromium, "chromium is not installed: apt-get install chromium"
    with sync_playwright() as playwright:
        launched = playwright.chromium.launch(executable_path=chromium, args=FLAGS, headless=True)
        yield launched
        launched.close()


@pytest.fixture
def open_report(browser: Browser, tmp_path: Path) -> Open:
    @contextlib.contextmanager
    def open_page(report: Report, *, width: int = 1200, scheme: str = "light", script: bool = True) -> Iterator[Opened]:
        file = tmp_path / "report.html"
        file.write_text(as_page(report), "utf-8")
        context = browser.new_context(
            viewport={"width": width, "height": 900},
            color_scheme="dark" if scheme == "dark" else "light",
            java_script_enabled=script,
        )
        opened = Opened(context.new_page())
        opened.page.on("console", lambda message: opened.said.append(message.text))
        opened.page.on("pageerror", lambda error: opened.said.append(str(error)))
        opened.page.on("request", lambda request: opened.asked.append(request.url))
        opened.page.goto(file.as_uri())
        yield opened
        assert opened.asked == [file.as_uri()], "a request left the page"
        assert opened.said == []
        context.close()

    return open_page


@pytest.mark.parametrize(
    ("scheme", "width", "outcome"),
    [("light", 1200, "passed"), ("dark", 1200, "failed"), ("light", 360, "inconclusive"), ("dark", 360, "errored")],
)
def test_nothing_keeps_anybody_from_reading_it(
    open_report: Open, make_report: MakeReport, scheme: str, width: int, outcome: str
) -> None:
    report = make_report(cases=24, outcome=outcome, draft=width == 360)
    with open_report(report, scheme=scheme, width=width) as opened:
        opened.page.evaluate("document.querySelectorAll('details').forEach(one => one.open = true)")
        assert Axe().run(opened.page).response["violations"] == []
        assert opened.overflow() == 0


def test_filter_and_search_work_by_keyboard(open_report: Open, make_report: MakeReport) -> None:
    with open_report(make_report(cases=200, flips=6)) as opened:
        page = opened.page
        rows, found = page.locator("table.cases tbody tr"), page.locator(".found")
        expect(found).to_have_text("200 of 200 cases")
        page.get_by_label("Search", exact=True).focus()
        page.keyboard.type("case-001")
        expect(found).to_have_text("10 of 200 cases")
        assert rows.locator("visible=true").count() == 10
        for _ in range(8):
            page.keyboard.press("Backspace")
        page.keyboard.press("Tab")
        page.keyboard.press("f")  # flipped
        expect(found).to_have_text("6 of 200 cases")
        page.keyboard.press("Tab")
        page.keyboard.press("g")  # german: case 7 of 1, 3, 5, 7, 9, 11
        expect(found).to_have_text("1 of 200 cases")
        expect(rows.locator("visible=true").locator("th")).to_have_text("case-0007")


def test_columns_sort_by_keyboard_and_say_so(open_report: Open, make_report: MakeReport) -> None:
    with open_report(make_report(cases=60)) as opened:
        head = opened.page.locator("table.cases thead th", has_text="ms")
        last = opened.page.locator("table.cases tbody tr td:last-child")
        head.locator("button").focus()
        opened.page.keyboard.press("Enter")
        expect(head).to_have_attribute("aria-sort", "ascending")
        rising = [float(text) for text in last.all_inner_texts()]
        assert rising == sorted(rising)
        opened.page.keyboard.press("Enter")
        expect(head).to_have_attribute("aria-sort", "descending")
        assert [float(text) for text in last.all_inner_texts()] == rising[::-1]


def test_a_digest_is_copied(open_report: Open, make_report: MakeReport) -> None:
    report = make_report(cases=10)
    with open_report(report) as opened:
        opened.page.locator("header button.copy").click()
        expect(opened.page.locator("header button.copy")).to_have_text("copied")
        assert opened.page.evaluate("getSelection().toString()") == report.document["evidence"]


def test_a_link_to_a_flip_opens_it(open_report: Open, make_report: MakeReport) -> None:
    with open_report(make_report(cases=60, flips=6)) as opened:
        details = opened.page.locator("ol.flips > li", has_text="case-0005").locator("> details")
        assert details.get_attribute("open") is None
        opened.page.locator("table.cases a", has_text="case-0005").click()
        expect(details).to_have_attribute("open", "")
        expect(details.get_by_text("Tool calls, aligned")).to_be_visible()


def test_everything_is_there_without_its_script(open_report: Open, make_report: MakeReport) -> None:
    with open_report(make_report(cases=120), script=False) as opened:
        assert opened.page.locator("table.cases tbody tr").locator("visible=true").count() == 120
        assert opened.page.locator(".filter").is_hidden()
        assert opened.page.locator("button").count() == 0
        opened.page.locator("ol.flips summary", has_text="case-0003").click()
        expect(opened.page.locator("ol.flips > li", has_text="case-0003").get_by_text("Input")).to_be_visible()


@pytest.mark.parametrize("width", [1200, 360])
@pytest.mark.parametrize(
    "said",
    [HOSTILE, "x" * 1_000_000, "العربية <b>\u202e" * 300, "&lt;" * 5_000],
    ids=["markup", "line", "bidi", "entity"],
)
def test_what_a_model_said_is_only_ever_text(open_report: Open, make_report: MakeReport, said: str, width: int) -> None:
    with open_report(make_report(cases=24, said=said, outcome="failed"), width=width) as opened:
        page = opened.page
        page.evaluate("document.querySelectorAll('details').forEach(one => one.open = true)")
        assert "owned" not in page.title()
        assert page.locator("img, iframe, form, base, link, object, embed").count() == 0
        assert page.locator("script").count() == 1
        assert page.locator("meta[http-equiv]").count() == 1
        assert page.evaluate("[...document.querySelectorAll('*')].every(one => !one.onerror && !one.onload)")
        assert opened.overflow() == 0


def test_the_policy_stops_what_escaping_would_miss(open_report: Open, make_report: MakeReport) -> None:
    """Escaping holds; were it ever to fail, the browser itself refuses."""
    refused: list[str] = []
    with open_report(make_report(cases=10)) as opened:
        page = opened.page
        page.evaluate("""() => {
            window.refused = 0;
            document.addEventListener("securitypolicyviolation", () => { window.refused += 1; });
            const script = document.createElement("script");
            script.textContent = "document.title = 'owned'";
            document.body.append(script);
            const image = document.createElement("img");
            image.src = "https://evil.example/x.png";
            document.body.append(image);
        }""")
        page.wait_for_function("window.refused >= 2")
        assert "owned" not in page.title()
        refused += [text for text in opened.said if "Content Security Policy" in text]
        opened.said.clear()
        opened.asked[:] = [url for url in opened.asked if url.startswith("file:")]
    assert len(refused) >= 2


def test_served_in_its_sandbox_it_works_as_from_a_file(browser: Browser, make_report: MakeReport) -> None:
    page = as_page(make_report(cases=30)).encode()

    class Served(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("content-type", "text/html; charset=utf-8")
            self.send_header("content-security-policy", policy_to_serve(page))
            self.end_headers()
            self.wfile.write(page)

        def log_message(self, *words: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Served) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        context = browser.new_context()
        opened = Opened(context.new_page())
        opened.page.on("console", lambda message: opened.said.append(message.text))
        opened.page.goto(f"http://127.0.0.1:{server.server_address[1]}/")
        opened.page.get_by_label("Search", exact=True).fill("case-0003")
        expect(opened.page.locator(".found")).to_have_text("1 of 30 cases")
        assert opened.page.evaluate("getComputedStyle(document.body).maxWidth") != "none"
        assert opened.page.evaluate("self.origin") == "null", "it reaches nothing of who served it"
        assert opened.said == []
        context.close()
        server.shutdown()


def test_a_thousand_cases_are_usable(open_report: Open, make_report: MakeReport) -> None:
    with open_report(make_report(cases=1_000, flips=60), width=360) as opened:
        page = opened.page
        assert page.locator("table.cases tbody tr").count() == 1_000
        page.get_by_label("Search", exact=True).fill("case-0999")
        expect(page.locator(".found")).to_have_text("1 of 1000 cases")
        assert opened.overflow() == 0


def test_it_prints_with_everything_open(open_report: Open, make_report: MakeReport) -> None:
    with open_report(make_report(cases=20)) as opened:
        opened.page.evaluate("dispatchEvent(new Event('beforeprint'))")
        assert opened.page.evaluate("[...document.querySelectorAll('details')].every(one => one.open)")
        opened.page.emulate_media(media="print")
        assert opened.page.locator("nav").is_hidden()
        assert opened.page.locator(".filter").is_hidden()
        expect(opened.page.locator("#decision")).to_be_visible()
