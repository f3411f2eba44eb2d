"""What browsers do not play is seen all the same, through previews; and a take in which two people speak."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import av
import httpx
import numpy as np
import pytest
from tests.service.conftest import Server, await_shot, bring, until
from tests.web.conftest import Material, Visit, met, sign_in

FRAMES, WIDTH, HEIGHT = 30, 640, 360
WORK_MS = 240_000
KINDS = {  # name: encoder, pixel format, options
    "hevc.mp4": ("libx265", "yuv420p", {"x265-params": "log-level=error", "preset": "ultrafast"}),
    "hevc-10-bit.mp4": ("libx265", "yuv420p10le", {"x265-params": "log-level=error", "preset": "ultrafast"}),
    "prores.mov": ("prores_ks", "yuv422p10le", {}),
    "h264-10-bit.mp4": ("libx264", "yuv420p10le", {"preset": "ultrafast", "crf": "15"}),
}
BROADEST = {"hevc-10-bit.mp4", "prores.mov"}  # two for all: each is a dub
Edit = Callable[[np.ndarray], np.ndarray]
# Whether a video's picture is more than one colour, and how many frames have been shown of it.
PLAYS = """(video) => { const one = document.createElement('canvas'); one.width = one.height = 8;
    const paint = one.getContext('2d'); paint.drawImage(video, 0, 0, 8, 8);
    const values = paint.getImageData(0, 0, 8, 8).data.filter((_, at) => at % 4 === 1);
    const frames = video.getVideoPlaybackQuality().totalVideoFrames;
    return {range: Math.max(...values) - Math.min(...values), frames}; }"""


def _made(source: Path, out: Path, kind: str, edit: Edit = lambda picture: picture) -> Path:
    encoder, pix_fmt, options = KINDS.get(kind, ("libx264", "yuv420p", {"preset": "ultrafast", "crf": "15"}))
    with av.open(str(source)) as given, av.open(str(out), "w") as file:
        frames = [f.to_ndarray(format="rgb24", width=WIDTH, height=HEIGHT) for f in given.decode(video=0)][:FRAMES]
        pictures = [np.ascontiguousarray(edit(frame)) for frame in frames]
        stream = file.add_stream(encoder, rate=25, options=options)
        stream.height, stream.width = pictures[0].shape[:2]
        stream.pix_fmt = pix_fmt
        for number, picture in enumerate(pictures):
            frame = av.VideoFrame.from_ndarray(picture, "rgb24")
            frame.pts, frame.time_base = number, Fraction(1, 25)
            file.mux(stream.encode(frame))
        file.mux(stream.encode(None))
    return out


@pytest.mark.parametrize(
    "kind", [pytest.param(kind, marks=[] if kind in BROADEST else pytest.mark.slow) for kind in KINDS]
)
def test_it_is_played_as_filmed_and_as_dubbed(
    visit: Visit, server: Server, material: Material, tmp_path: Path, kind: str
) -> None:
    page = visit.page
    with server.caller() as api:
        shot = bring(api, "video", _made(material.video, tmp_path / kind, kind), _type(kind))["shot_id"]
        voice = bring(api, "audio", material.voice, "audio/wav")["audio_id"]
        await_shot(api, shot, server)
        body = {"audio_id": voice, "output_filename": f"dubbed-{kind}"}
        take = api.post(f"/v1/shots/{shot}/generate", json=body).json()["data"]["generate_id"]
        until(lambda: api.get(f"/api/jobs/{take}").json()["data"]["status"] == "finished")
    sign_in(visit, server.key)
    page.goto(f"{visit.base}/shots/{shot}")
    page.get_by_label("The shot as filmed").wait_for(timeout=WORK_MS)
    page.evaluate("document.querySelector('.player').play()")
    met(page, "document.querySelector('.player').ended")
    assert page.locator(".player").evaluate("(video) => [video.videoWidth, video.videoHeight]") == [WIDTH, HEIGHT]
    told = page.locator(".player").evaluate(PLAYS)
    assert told["range"] > 30 and told["frames"] > FRAMES // 3
    page.goto(f"{visit.base}/takes/{take}")
    page.get_by_label("Compare source and dub").wait_for(timeout=WORK_MS)
    page.keyboard.press("End")
    met(page, f"document.querySelector('.stage').dataset.frame === '{FRAMES - 1}'")
    assert page.locator(".stage video").count() == 2
    for video in page.locator(".stage video").all():
        assert video.evaluate(PLAYS)["range"] > 30


def test_two_people_get_a_voice_each(visit: Visit, server: Server, material: Material, tmp_path: Path) -> None:
    """The same face twice, side by side, the other one mirrored."""
    page = visit.page
    film = _made(material.video, tmp_path / "two.mp4", "", lambda picture: np.hstack([picture, picture[:, ::-1]]))
    sign_in(visit, server.key)
    page.locator(".newshot input[type=file]").set_input_files(film)
    page.wait_for_url("**/shots/*")
    page.locator(".speaker").nth(1).wait_for(timeout=WORK_MS)
    assert page.locator(".speaker").count() == page.get_by_role("img", name="Portrait of").count() == 2
    for speaker in page.locator(".speaker").all():
        speaker.get_by_role("combobox").select_option(index=1)
    page.get_by_role("button", name="Generate").click()
    page.wait_for_url("**/takes/*")
    page.get_by_label("Compare source and dub").wait_for(timeout=WORK_MS)
    page.locator(".curve").nth(1).wait_for(timeout=WORK_MS)
    assert page.locator(".curve").count() == 2
    take = page.url.rsplit("/", 1)[1]
    job = httpx.get(f"{server.base}/api/jobs/{take}", headers={"x-api-key": server.key}).json()["data"]
    voices = job["options"]["voices"]
    assert len({voice["actor_id"] for voice in voices}) == 2 and all(voice["audio_id"] for voice in voices)
    page.get_by_role("button", name="Mouth").click()
    page.get_by_label("Whose mouth").select_option("1")


def _type(kind: str) -> str:
    return "video/quicktime" if kind.endswith("mov") else "video/mp4"
