"""From sign-in to the downloaded dub, in Chromium, on a real server with a real shot; then its views, looked over."""

from __future__ import annotations

import os
import time
from pathlib import Path

import av
import httpx
import pytest
from tests.service.conftest import Server
from tests.web.conftest import NARROW, WIDE, Material, Visit, met, sign_in

ROOT = Path(__file__).parent.parent.parent
AXE = ROOT / "web" / "node_modules" / "axe-core" / "axe.min.js"
WORK_MS = 240_000
EACH = 0.04  # seconds of a frame of the demo's shot


def test_a_wrong_key_is_refused_in_plain_words(visit: Visit) -> None:
    page = visit.page
    page.goto(visit.base)
    page.get_by_label("API key").fill("lsk_wrong")
    page.get_by_role("button", name="Sign in").click()
    alert = page.get_by_role("alert")
    alert.wait_for()
    assert "not known here" in alert.inner_text() and "Request id" in alert.inner_text()


def test_from_sign_in_to_the_downloaded_dub(visit: Visit, server: Server, material: Material) -> None:
    page = visit.page
    sign_in(visit, server.key)
    assert server.key not in page.url
    page.get_by_label("Project").fill("Spring film")
    page.get_by_label("Actor").fill("Ada")
    page.locator(".newshot input[type=file]").set_input_files(material.video)
    page.wait_for_url("**/shots/1")
    page.get_by_role("progressbar", name="Preparation of the shot").wait_for()
    page.get_by_role("img", name="Portrait of Ada").wait_for(timeout=WORK_MS)
    page.locator(".speaker input[type=file]").set_input_files(material.voice)
    page.get_by_role("button", name="Generate").click()  # waits until it may be pressed
    page.wait_for_url("**/takes/1")
    page.get_by_label("Compare source and dub").wait_for(timeout=WORK_MS)
    with page.expect_download() as waiting:
        page.get_by_role("button", name="Download").click()
    saved = waiting.value.path()
    told = httpx.get(f"{server.base}/v1/renders/1/download", headers={"x-api-key": server.key}).json()
    assert saved.read_bytes() == httpx.get(told["data"]["download_url"]).content
    assert waiting.value.suggested_filename == f"{material.video.stem}-dub.mp4"
    with av.open(str(saved)) as dub, av.open(str(material.video)) as source:
        assert [p.pts for p in dub.demux(video=0)] == [p.pts for p in source.demux(video=0)]
    page.locator(".curve svg").wait_for(timeout=WORK_MS)
    page.get_by_role("row", name="Still the same file yes").wait_for()


def test_arrows_step_both_by_one_frame(visit: Visit, server: Server) -> None:
    page = _compare(visit, server)
    for frame in range(1, 9):
        page.evaluate("window.shown = []")
        page.keyboard.press("ArrowRight")
        met(page, "shown.length >= 2 && new Set(shown.map((one) => one[0])).size === 2")
        assert {round(time / EACH) for _, time in page.evaluate("shown")} == {frame}
        assert page.locator(".stage").get_attribute("data-frame") == str(frame)
    page.keyboard.press("ArrowLeft")
    met(page, "document.querySelector('.stage').dataset.frame === '7'")


def test_pushed_apart_they_find_together_and_stop_on_the_same_frame(visit: Visit, server: Server) -> None:
    """By what the browser says of the videos. The median, for the machine may be busy; docs/page.md has the figures."""
    page = _compare(visit, server)
    page.get_by_label("Pace").select_option("0.5")  # the shot is short
    page.evaluate("""() => { window.apart = []; const look = () => {
        const [a, b] = videos; if (!a.paused && !b.paused) apart.push(Math.abs(a.currentTime - b.currentTime));
        requestAnimationFrame(look); }; look(); }""")
    page.keyboard.press("Space")
    page.wait_for_timeout(600)
    page.evaluate("() => { videos[0].currentTime += 0.3; }")
    page.wait_for_timeout(1400)
    page.evaluate("window.apart = []")
    page.wait_for_timeout(800)
    apart = sorted(page.evaluate("apart"))
    page.keyboard.press("Space")
    met(page, "videos.every((video) => video.paused && !video.seeking)")
    assert len(apart) > 5 and apart[len(apart) // 2] <= EACH, apart
    assert page.evaluate("Math.abs(videos[0].currentTime - videos[1].currentTime)") < 0.001


def test_a_region_is_looped(visit: Visit, server: Server) -> None:
    page = _compare(visit, server)
    for key in (*["ArrowRight"] * 3, "i", *["ArrowRight"] * 8, "o", "Space"):
        page.keyboard.press(key)
        page.wait_for_timeout(120)
    page.get_by_role("button", name="End loop").wait_for()
    page.evaluate("window.shown = []")
    page.wait_for_timeout(1500)
    times = page.evaluate("shown.filter((one) => one[0] === 1).map((one) => one[1])")
    assert any(later < earlier for earlier, later in zip(times, times[1:], strict=False)), "it never went back"
    assert max(times) <= 25 * EACH, times  # how far past its end a busy machine plays; without a loop it would be 40


def test_sound_wipe_and_mouth(visit: Visit, server: Server) -> None:
    page = _compare(visit, server)
    assert page.evaluate("videos.map((video) => video.muted)") == [True, False]
    page.keyboard.press("a")
    assert page.evaluate("videos.map((video) => video.muted)") == [False, True]
    page.keyboard.press("w")
    page.get_by_label("Edge between source and dub").fill("25")
    assert page.locator(".view.dub").evaluate("(view) => view.style.clipPath") == "inset(0px 0px 0px 25%)"
    page.evaluate(f"window.picture = {PICTURE}; window.whole = picture()")
    page.keyboard.press("z")
    met(page, "picture() !== whole")
    page.keyboard.press("z")
    met(page, "picture() === whole")


def test_a_range_is_drawn_and_becomes_the_call(visit: Visit, server: Server) -> None:
    page = visit.page
    sign_in(visit, server.key)
    page.goto(f"{visit.base}/shots/1")
    page.route("**/actors", lambda route: (time.sleep(0.5), route.continue_()))
    page.reload()
    page.get_by_role("combobox", name="Voice").select_option(index=1)  # before the actors are known: it stays chosen
    wave = page.get_by_label("Sound of the shot")
    wave.scroll_into_view_if_needed()
    box = wave.bounding_box()
    page.wait_for_timeout(300)
    page.mouse.move(box["x"] + 0.25 * box["width"], box["y"] + 30)
    page.mouse.down()
    page.mouse.move(box["x"] + 0.5 * box["width"], box["y"] + 30, steps=8)
    page.mouse.move(box["x"] + 0.75 * box["width"], box["y"] + 30, steps=8)
    page.mouse.up()
    start = float(page.get_by_label("Range 1 start").input_value())
    end = float(page.get_by_label("Range 1 end").input_value())
    assert start == pytest.approx(0.5, abs=0.06) and end == pytest.approx(1.5, abs=0.06)
    page.get_by_label("Range 1 end").fill("1.25")
    form = page.get_by_label("A new take")
    form.get_by_text("This as an API call").click()
    assert f'"timecode_ranges":[[{start:g},1.25]]' in form.get_by_label("The call as curl").inner_text()
    form.get_by_role("button", name="Python", exact=True).click()
    code = form.get_by_label("The call as Python").inner_text()
    compile(code, "call", "exec")
    assert server.key not in code and f"[[{start:g}, 1.25]]" in code


PICTURE = "() => document.querySelector('.stage canvas').toDataURL()"
AWAITED = {"/takes/1": ".curve svg", "/shots/1": ".take"}
VIEWS = ("/", "/shots/1", "/takes/1", "/takes", "/voices", "/projects")


@pytest.mark.parametrize("size", [WIDE, NARROW], ids=["wide", "narrow"])
@pytest.mark.parametrize("scheme", ["dark", "light"])
def test_every_view_fits_and_axe_finds_nothing_serious(visit: Visit, server: Server, scheme: str, size: tuple) -> None:
    """With LIPSMITH_SCREENSHOTS=folder the views are kept as pictures, to be looked at."""
    page, kept = visit.page, os.environ.get("LIPSMITH_SCREENSHOTS")
    page.emulate_media(color_scheme=scheme)
    page.set_viewport_size({"width": size[0], "height": size[1]})
    page.goto(visit.base)
    page.get_by_label("API key").wait_for()
    found = _looked_over(visit, "signin", scheme, size, kept)
    sign_in(visit, server.key)
    for view in VIEWS:
        page.goto(visit.base + view)
        page.get_by_role("heading", level=1).wait_for()
        page.locator(AWAITED.get(view, "main li")).first.wait_for()
        name = view.strip("/").replace("/", "-") or "shots"
        found += _looked_over(visit, name, scheme, size, kept)
    assert not found


def _looked_over(visit: Visit, name: str, scheme: str, size: tuple, kept: str | None) -> list[str]:
    page, own = visit.page, len(visit.console)
    if kept:
        page.screenshot(path=Path(kept) / f"{name}-{scheme}-{size[0]}.png", full_page=True)
    wider = page.evaluate("document.documentElement.scrollWidth - innerWidth")
    assert wider <= 0, f"{name} is {wider} pixels wider than the screen"
    page.evaluate(AXE.read_text())
    broken = page.evaluate("axe.run().then((result) => result.violations)")
    del visit.console[own:]  # the policy refuses styles that axe and the screenshot bring; that is not the page's doing
    return [
        f"{name}: {rule['id']} {[node['target'] for node in rule['nodes']]}"
        for rule in broken
        if rule["impact"] in ("serious", "critical")
    ]


def _compare(visit: Visit, server: Server) -> object:
    """The first take's compare view, with both videos loaded and watched: window.shown gets [which, time]."""
    page = visit.page
    sign_in(visit, server.key)
    page.goto(f"{visit.base}/takes/1")
    page.get_by_label("Compare source and dub").wait_for()
    met(page, "[...document.querySelectorAll('.stage video')].every((video) => video.readyState === 4)")
    page.evaluate("""() => {
        window.shown = []; window.videos = [...document.querySelectorAll('.stage video')];
        videos.forEach((video, at) => { const note = (_, facts) => { shown.push([at, facts.mediaTime]);
            video.requestVideoFrameCallback(note); }; video.requestVideoFrameCallback(note); });
    }""")
    return page
