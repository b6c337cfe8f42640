"""The pages in a real browser, as a subscriber on a phone or at a desk uses them."""

import re
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest
from django.contrib.auth.models import User
from django.contrib.staticfiles import finders
from django.utils import timezone
from playwright.sync_api import Browser, Page, expect, sync_playwright
from pytest_django.live_server_helper import LiveServer

from durian.event import Hook
from durian.models import Attempt, Listener
from durian.registry import hooks

CHROMIUM = "/usr/bin/chromium"
ARGUMENTS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
PHONE, DESK = 390, 1200
URL = "http://127.0.0.1:9/hook"
# The machine may be busy with other tests; no expectation waits once it is met.
expect.set_options(timeout=20_000)


@pytest.fixture(autouse=True)
def hook() -> Iterator[Hook]:
    hook = hooks.register(Hook("order", verbose_name="An order", provides_args=["name", "total"]))
    yield hook
    hooks.unregister(hook)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    # Playwright runs an event loop in this thread, which Django takes for an async view.
    with pytest.MonkeyPatch.context() as patch, sync_playwright() as playwright:
        patch.setenv("DJANGO_ALLOW_ASYNC_UNSAFE", "1")
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        yield browser
        browser.close()


@pytest.fixture
def ann(transactional_db: None) -> User:
    return User.objects.create_user("ann", password="swordfish")


@pytest.fixture(params=[PHONE, DESK], ids=["phone", "desk"])
def page(
    request: pytest.FixtureRequest, browser: Browser, live_server: LiveServer, ann: User
) -> Iterator[Page]:
    """A page of a logged-in user's, on which no script fails and nothing is refused."""
    context = browser.new_context(
        viewport={"width": request.param, "height": 844}, base_url=live_server.url
    )
    page = context.new_page()
    page.goto("/hooks/")
    page.fill("#id_username", "ann")
    page.fill("#id_password", "swordfish")
    page.click("[type=submit]")
    expect(page.get_by_role("heading", name="My listeners")).to_be_visible()
    complaints: list[str] = []
    page.on("console", lambda message: complaints.append(message.text))
    page.on("pageerror", lambda error: complaints.append(str(error)))
    yield page
    context.close()
    assert complaints == []


def assert_it_fits(page: Page) -> None:
    page.wait_for_load_state("networkidle")
    assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")


def test_a_listener_from_selecting_to_deleting(page: Page) -> None:
    page.get_by_role("link", name="New listener").click()
    assert_it_fits(page)
    page.get_by_role("link", name="An order").click()
    assert_it_fits(page)
    page.get_by_label("URL").fill("http://10.0.0.1/")
    page.get_by_label("name: condition").select_option("matches the regular expression")
    page.get_by_label("name: text").fill("(")
    page.get_by_role("button", name="Create listener").click()
    row = page.get_by_role("group", name="name")
    expect(row.get_by_role("alert")).to_contain_text("is refused")
    expect(page.locator(".field", has_text="URL").get_by_role("alert")).to_contain_text("private")
    assert_it_fits(page)
    page.get_by_label("URL").fill(URL)
    page.get_by_label("name: text").fill("^J")
    page.get_by_role("button", name="Create listener").click()
    expect(page.locator("#secret")).to_have_text(re.compile("^whsec_"))
    assert_it_fits(page)
    page.reload()
    expect(page.get_by_text("whsec_")).to_have_count(0)
    page.get_by_role("link", name="order → ").click()
    page.get_by_role("button", name="Pause").click()
    expect(page.locator("h1 + .badge")).to_have_text("paused")
    page.get_by_role("button", name="Resume").click()
    expect(page.get_by_role("status")).to_contain_text("durian replay")
    assert_it_fits(page)
    page.get_by_role("link", name="Delete").click()
    assert_it_fits(page)
    page.get_by_role("button", name="Delete listener").click()
    expect(page.get_by_text("No listeners yet")).to_be_visible()


def test_the_filter_is_tried_as_one_types(page: Page) -> None:
    page.goto("/hooks/create/?type=order")
    verdict = page.locator("#tried")
    page.get_by_label("total: condition").select_option("exact")
    page.get_by_label("total: text").fill("5")
    page.get_by_label("Payload").fill('{"total": 5}')
    expect(verdict).to_contain_text("It passes")
    page.get_by_label("total: text").fill("6")
    expect(verdict).to_contain_text("It does not pass")
    page.get_by_label("total: condition").select_option("matches the regular expression")
    page.get_by_label("total: text").fill("(")
    alert = page.get_by_role("group", name="total").get_by_role("alert")
    expect(alert).to_contain_text("is refused")
    page.get_by_label("total: text").fill("5")
    expect(alert).to_have_count(0)
    assert Listener.objects.count() == 0


def test_an_answer_is_text_and_never_run(page: Page, ann: User) -> None:
    listener = Listener.objects.create(user=ann, hook="order", url=URL + "/" + "long" * 80)
    evil = "<script>document.title = 'run'</script><img src=x onerror=\"document.title='run'\">"
    Attempt.objects.create(
        listener_id=listener.pk,
        hook="order",
        delivery=uuid.uuid4(),
        event=uuid.uuid4(),
        number=1,
        outcome=Attempt.Outcome.DEAD,
        status=500,
        error=evil,
        answer=evil.encode() + b"\xff" + b"y" * 2000,
        started_at=timezone.now(),
    )
    page.goto(f"/hooks/{listener.pk}/")
    page.get_by_text("Answer", exact=True).click()
    expect(page.locator(".attempts pre")).to_contain_text(evil)
    assert_it_fits(page)
    page.get_by_role("link", name="The whole answer").click()
    expect(page.locator(".attempts pre")).to_contain_text("y" * 2000)
    assert_it_fits(page)
    assert page.title() == "Delivery"


def test_what_a_subscriber_typed_is_text_and_never_run(page: Page, ann: User) -> None:
    evil = "\"'><script>document.title='run'</script><img src=x onerror=\"document.title='run'\">"
    listener = Listener.objects.create(
        user=ann,
        hook="order",
        url=f"{URL}?{evil}",
        description=evil,
        match={"name": evil, evil: 1},
        config={"headers": {"X-Evil": evil}},
    )
    for path in ("", f"{listener.pk}/", f"{listener.pk}/edit/", f"{listener.pk}/delete/"):
        page.goto(f"/hooks/{path}")
        page.wait_for_load_state("networkidle")
        assert page.title() != "run"
        assert page.locator("img[src=x]").count() == 0
        assert page.locator("script:not([src])").count() == 0
    page.goto(f"/hooks/{listener.pk}/")
    expect(page.locator("dl")).to_contain_text(evil)
    page.goto("/hooks/create/?type=order")
    page.get_by_label("Payload").fill(evil)
    expect(page.get_by_text("This is not JSON")).to_be_visible()
    assert page.title() != "run"


def test_the_keyboard_skips_to_the_content(page: Page) -> None:
    page.goto("/hooks/select/")
    page.keyboard.press("Tab")
    skip = page.get_by_role("link", name="Skip to the content")
    expect(skip).to_be_focused()
    expect(skip).to_be_in_viewport()
    page.keyboard.press("Enter")
    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="An order")).to_be_focused()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_has_enough_contrast(scheme: str) -> None:
    path = finders.find("durian/pages.css")
    assert path
    css = Path(path).read_text()
    light, dark = (
        dict(re.findall(r"--([a-z-]+): (#[0-9a-f]{6})", part))
        for part in css.split("@media (prefers-color-scheme: dark)")
    )
    colours = light | dark if scheme == "dark" else light
    pairs = [(ink, on) for ink in ("ink", "quiet", "accent", "bad") for on in ("ground", "card")]
    pairs += [("on-accent", "accent"), ("ink", "shade"), ("quiet", "shade")]
    pairs += [(kind, f"{kind}-ground") for kind in ("good", "wait", "bad")]
    pairs += [("ink", f"{kind}-ground") for kind in ("good", "wait")]
    poor = [pair for pair in pairs if contrast(*(colours[name] for name in pair)) < 4.5]
    assert poor == []
    assert contrast(colours["edge"], colours["card"]) >= 3  # WCAG 1.4.11: edges of inputs


def contrast(one: str, other: str) -> float:
    """The contrast ratio of two colours, as WCAG 2 defines it."""
    dark, light = sorted([luminance(one), luminance(other)])
    return (light + 0.05) / (dark + 0.05)


def luminance(colour: str) -> float:
    parts = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    linear = [
        part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts
    ]
    return sum(part * weight for part, weight in zip(linear, (0.2126, 0.7152, 0.0722), strict=True))
