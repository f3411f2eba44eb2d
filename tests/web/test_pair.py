"""What is seen of source and dub belongs together, read off the screen: played, pushed apart, stepped, repeated."""

from __future__ import annotations

import pytest
from tests.service.conftest import Server
from tests.web import numbered
from tests.web.conftest import Visit, met, sign_in

FRAMES = 240


@pytest.fixture(scope="module")
def alike(server: Server) -> numbered.Numbered:
    return numbered.add(server, source_frames=FRAMES, dub_frames=FRAMES)


@pytest.fixture(scope="module")
def repeating(server: Server) -> numbered.Numbered:
    return numbered.add(server, source_frames=45, dub_frames=150)


def test_they_are_never_seen_apart(visit: Visit, server: Server, alike: numbered.Numbered) -> None:
    """However far apart the videos are: one is pushed, both ways."""
    page = _watched(visit, server, alike)
    page.keyboard.press("Space")
    for push in (0, 0.2, -0.2):
        page.evaluate(f"videos[0].currentTime += {push}")
        page.wait_for_timeout(1500)
    met(page, "seen.at(-1)[2] >= 90")
    page.keyboard.press("Space")
    met(page, "videos.every((video) => video.paused && !video.seeking)")
    page.wait_for_timeout(300)
    seen = [(source, dub) for _, source, dub in page.evaluate("seen")]
    assert max(abs(source - dub) for source, dub in seen) <= 1
    assert len({dub for _, dub in seen}) > 5, "the pictures do not move on"
    assert seen[-1][0] == seen[-1][1] == int(page.locator(".stage").get_attribute("data-frame"))


def test_every_step_shows_that_frame_of_both(visit: Visit, server: Server, alike: numbered.Numbered) -> None:
    page = _watched(visit, server, alike)
    page.keyboard.press("End")
    _shows(page, FRAMES - 1, FRAMES - 1)
    for frame in (FRAMES - 2, FRAMES - 3):
        page.keyboard.press("ArrowLeft")
        _shows(page, frame, frame)
    page.keyboard.press("Home")
    _shows(page, 0, 0)
    page.keyboard.press("Shift+ArrowRight")
    _shows(page, numbered.RATE, numbered.RATE)


@pytest.mark.parametrize("heard", ["source", "dub"])
def test_a_source_that_the_dub_repeats_is_seen_again(
    visit: Visit, server: Server, repeating: numbered.Numbered, heard: str
) -> None:
    page = _watched(visit, server, repeating)
    if heard == "source":
        page.keyboard.press("a")
    page.keyboard.press("End")
    _shows(page, 149 % 45, 149)
    page.keyboard.press("Home")
    _shows(page, 0, 0)
    page.keyboard.press("Space")
    met(page, "seen.at(-1)[2] >= 100")
    page.keyboard.press("Space")
    seen = [(source, dub) for _, source, dub in page.evaluate("seen")][-60:]
    assert {(dub - source + 1) % 45 for source, dub in seen} <= {0, 1, 2}


def _watched(visit: Visit, server: Server, take: numbered.Numbered) -> object:
    page = visit.page
    sign_in(visit, server.key)
    page.goto(f"{visit.base}/takes/{take.take_id}")
    page.get_by_label("Compare source and dub").wait_for()
    page.evaluate("window.videos = [...document.querySelectorAll('.stage video')]")
    met(page, "videos.every((video) => video.readyState === 4)")
    page.evaluate(numbered.WATCH)
    return page


def _shows(page: object, source: int, dub: int) -> None:
    met(page, f"seen.length > 0 && seen.at(-1)[1] === {source} && seen.at(-1)[2] === {dub}")
