"""Without a mouse and without eyes: every action is reached by Tab and seen to be, and has a role and a name."""

from __future__ import annotations

import pytest
from tests.service.conftest import Server
from tests.web import numbered
from tests.web.conftest import Visit, sign_in

MOST_TABS = 120
ACTIONS = """[...document.querySelectorAll('a[href], button, input, select, summary, pre[tabindex], video[controls]')]
    .filter((one) => !one.disabled && one.tabIndex >= 0 && one.getClientRects().length > 0
        && getComputedStyle(one).visibility === 'visible' && !one.closest('details:not([open]) > :not(summary)'))"""
NUMBERED = f"{ACTIONS}.forEach((one, at) => {{ one.dataset.action = at; }})"
FOCUSED = """() => { const one = document.activeElement;
    const seen = one.matches('input[type=file]') ? one.closest('label') : one;
    const style = getComputedStyle(seen);
    return {action: one.dataset.action ?? null, what: one.outerHTML.slice(0, 120),
        marked: style.outlineStyle !== 'none' && parseFloat(style.outlineWidth) >= 1}; }"""


@pytest.fixture(scope="module")
def take(server: Server) -> numbered.Numbered:
    return numbered.add(server, source_frames=30, dub_frames=30)


def _views(take: numbered.Numbered) -> dict[str, str]:
    own = {f"/shots/{take.shot_id}": "numbers.mp4", f"/takes/{take.take_id}": "numbers-dub.mp4"}
    return {"/": "Shots", **own, "/takes": "Takes", "/voices": "Voices", "/projects": "Projects"}


def test_every_action_is_reached_by_tab_and_shows_it(visit: Visit, server: Server, take: numbered.Numbered) -> None:
    page = visit.page
    sign_in(visit, server.key)
    missed: list[str] = []
    for view, title in _views(take).items():
        page.goto(visit.base + view)
        page.get_by_role("heading", level=1, name=title).wait_for()
        page.wait_for_timeout(1500)
        page.evaluate(f"() => {{ {NUMBERED}; }}")
        wanted = page.evaluate(f"{ACTIONS}.map((one) => one.outerHTML.slice(0, 120))")
        reached: set[str] = set()
        for _ in range(MOST_TABS):
            page.keyboard.press("Tab")
            found = page.evaluate(FOCUSED)
            if found["action"] in reached and len(reached) >= len(wanted):
                break
            if found["action"] is not None:
                reached.add(found["action"])
                missed += [] if found["marked"] else [f"{view}: no mark on {found['what']}"]
        missed += [f"{view}: never at {what}" for at, what in enumerate(wanted) if str(at) not in reached]
    assert not missed, "\n".join(dict.fromkeys(missed))


def test_every_view_tells_a_reader_where_one_is(visit: Visit, server: Server, take: numbered.Numbered) -> None:
    page = visit.page
    sign_in(visit, server.key)
    for view, title in _views(take).items():
        page.goto(visit.base + view)
        page.get_by_role("heading", level=1, name=title).wait_for()
        assert page.get_by_role("heading", level=1).count() == 1
        assert page.title() == f"{title} · Lipsmith"
        for landmark in ("banner", "main"):
            assert page.get_by_role(landmark).count() == 1
        assert page.get_by_role("navigation", name="Main").get_by_role("link").count() == 4
        nameless = page.evaluate(f"{ACTIONS}.filter((one) => !one.labels?.length && !one.ariaLabel && !one.innerText)"
                                 ".map((one) => one.outerHTML)")  # fmt: skip
        assert not nameless


def test_a_take_is_compared_by_the_keyboard_alone(visit: Visit, server: Server, take: numbered.Numbered) -> None:
    page = visit.page
    sign_in(visit, server.key)
    page.goto(f"{visit.base}/takes/{take.take_id}")
    compare = page.get_by_role("region", name="Compare source and dub")
    compare.wait_for()
    for name in ("Source", "Dub"):
        assert compare.get_by_role("img", name=name, exact=True).count() == 1
    for key, view in {"w": "Wipe", "1": "Source", "2": "Dub", "s": "Side by side"}.items():
        page.keyboard.press(key)
        pressed = compare.get_by_role("group", name="View").get_by_role("button", pressed=True)
        assert pressed.inner_text() == view
    page.keyboard.press("w")
    edge = compare.get_by_label("Edge between source and dub")
    edge.focus()
    page.keyboard.press("ArrowRight")
    assert edge.input_value() == "50.5", "an arrow on the slider is the slider's"
    compare.get_by_label("Pace").focus()
    page.keyboard.press("ArrowUp")
    assert compare.get_by_label("Pace").input_value() == "0.5"
