"""Chromium on the page of a real server, with the demo's shot and voice."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from tests.service.cluster import Cluster
from tests.service.conftest import Server, backend, serving  # noqa: F401 - a fixture

from lipsmith.demo import MATERIAL
from lipsmith.service.page import FOLDER
from lipsmith.weights import WeightStore

BROWSERS = ("chromium", "chromium-browser", "google-chrome")
WIDE, NARROW = (1440, 900), (390, 844)


def _missing(reason: str) -> None:
    """A skip on a machine that lacks something; where everything must be there, a failure."""
    if os.environ.get("CI") == "true":
        pytest.fail(reason)
    pytest.skip(reason)


@pytest.fixture(scope="session")
def page_folder() -> Path:
    """The built page."""
    if not (FOLDER / "index.html").is_file():
        _missing("the page is not built (scripts/page, with Node 20.19 or newer)")
    return FOLDER


@pytest.fixture(scope="session")
def server(
    backend: Cluster | None,  # noqa: F811
    page_folder: Path,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Server]:
    """With previews, and with the judge at work, so that there are curves."""
    with serving(backend, tmp_path_factory) as start:
        yield start(measure="on", previews="on")


@dataclass(frozen=True)
class Material:
    video: Path
    voice: Path


@pytest.fixture(scope="session")
def material(store: WeightStore, talking_shot: Path) -> Material:
    return Material(talking_shot, WeightStore(store.folder / "demo", artefacts=MATERIAL).path("voice"))


@dataclass
class Visit:
    """One tab, and all it said and asked for."""

    page: object
    base: str
    console: list[str] = field(default_factory=list)  # errors it was told of
    faults: list[str] = field(default_factory=list)  # its own, uncaught
    strangers: list[str] = field(default_factory=list)  # requests to other hosts


@pytest.fixture(scope="module")
def browser() -> Iterator[object]:
    """Chromium. Of one module: its loop must not run while other tests run theirs."""
    pytest.importorskip("playwright")
    from playwright.sync_api import sync_playwright

    found = next((path for name in BROWSERS if (path := shutil.which(name))), None)
    if found is None:
        _missing(f"none of {', '.join(BROWSERS)} is installed")
    arguments = ["--no-sandbox", "--autoplay-policy=no-user-gesture-required"]
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=found, args=arguments)
        yield chromium
        chromium.close()


@pytest.fixture
def visit(browser: object, server: Server, request: pytest.FixtureRequest) -> Iterator[Visit]:
    """A fresh tab, signed in unless marked otherwise; at its end it has asked no other host and met no error."""
    context = browser.new_context(viewport={"width": WIDE[0], "height": WIDE[1]}, color_scheme="dark")
    page = context.new_page()
    made = Visit(page, server.base)
    page.on("console", lambda message: made.console.append(message.text) if message.type == "error" else None)
    page.on("pageerror", lambda error: made.faults.append(str(error)))
    page.on(
        "request", lambda asked: made.strangers.append(asked.url) if not asked.url.startswith(server.base) else None
    )
    yield made
    context.close()
    assert not made.strangers and not made.faults
    assert not [text for text in made.console if "Content Security Policy" in text]


def sign_in(visit: Visit, key: str) -> None:
    visit.page.goto(visit.base)
    visit.page.get_by_label("API key").fill(key)
    visit.page.get_by_role("button", name="Sign in").click()
    visit.page.get_by_role("heading", name="Shots", exact=True).wait_for()


def met(page: object, condition: str) -> None:
    """Wait for it. Playwright's own wait needs eval, which the policy forbids once the page runs by itself."""
    for _ in range(100):
        if page.evaluate(condition):
            return
        page.wait_for_timeout(100)
    raise AssertionError(condition)
