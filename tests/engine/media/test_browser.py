"""A spliced file plays in Chromium from end to end, and every place that is sought shows the right picture.

Needs the program `chromium` (Debian's package of that name); skipped where it is missing.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from queue import Empty, Queue
from typing import Any

import cv2
import numpy as np
import pytest
from tests.engine.media import test_splice as sources

from lipsmith.engine.media import decode, gops
from lipsmith.engine.media.probe import probe

CHROMIUM = shutil.which("chromium")
WIDTH, HEIGHT = 32, 20  # of the pictures that are compared
SECONDS = 60.0
PAGE = """<!doctype html><video muted></video><canvas width=%(width)d height=%(height)d></canvas><script>
const video = document.querySelector('video'), paint = document.querySelector('canvas').getContext('2d');
const once = name => new Promise((done, fail) => {
  video.addEventListener(name, done, {once: true});
  video.addEventListener('error', () => fail(video.error.message), {once: true});
});
(async () => {
  video.src = URL.createObjectURL(await (await fetch('file')).blob());
  await once('loadeddata');
  const ended = once('ended');
  video.playbackRate = 2;
  await video.play();
  await ended;
  const played = video.getVideoPlaybackQuality().totalVideoFrames, pictures = [];
  for (const time of %(times)s) {
    const there = once('seeked'), shown = new Promise(done => {  // which on a busy machine is later
      video.requestVideoFrameCallback(done);
      setTimeout(done, 1000);
    });
    video.currentTime = time;
    await Promise.all([there, shown]);
    paint.drawImage(video, 0, 0, %(width)d, %(height)d);
    pictures.push(Array.from(paint.getImageData(0, 0, %(width)d, %(height)d).data));
  }
  return {played, duration: video.duration, pictures};
})().catch(error => ({error: String(error)})).then(told => fetch('told', {method: 'POST', body: JSON.stringify(told)}));
</script>"""


def watched(path: Path, times: list[float], folder: Path) -> dict[str, Any]:
    """What Chromium tells of this file: frames played, and the pictures at these times."""
    told: Queue[bytes] = Queue()
    page = (PAGE % {"times": json.dumps(times), "width": WIDTH, "height": HEIGHT}).encode()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = {"/": page, "/file": path.read_bytes()}.get(self.path, b"")
            self.send_response(200)
            self.end_headers()
            self.wfile.write(body)

        def do_POST(self) -> None:
            told.put(self.rfile.read(int(self.headers["Content-Length"])))
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        command = [str(CHROMIUM), "--headless=new", "--no-sandbox", "--disable-gpu", f"--user-data-dir={folder}"]
        command += ["--autoplay-policy=no-user-gesture-required", f"http://127.0.0.1:{server.server_port}/"]
        with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as browser:
            try:
                return dict(json.loads(told.get(timeout=SECONDS)))
            except Empty:
                pytest.fail(f"Chromium told nothing within {SECONDS:g} s")
            finally:
                browser.terminate()
                browser.wait()
                server.shutdown()


@pytest.mark.skipif(CHROMIUM is None, reason="chromium is not installed")
@pytest.mark.parametrize("make", [sources.h264, sources.vp9, sources.av1], ids=lambda make: make.__name__)
def test_chromium_plays_it_and_seeks_in_it(tmp_path: Path, make: Callable[[Path], Path]) -> None:
    out, plan, _ = sources.spliced(make(tmp_path / "source"))
    small = [
        cv2.resize(decode.rgb(frame), (WIDTH, HEIGHT), interpolation=cv2.INTER_AREA).astype(int)
        for frame in decode.frames(probe(out))
    ]
    index = gops.read(probe(out))
    starts = np.searchsorted(index.stamps, [index.pts[gop.first] for gop in index.gops]).tolist()
    edges = [edge for run in plan.runs for edge in (run.frames.start, run.frames.stop)]
    frames = [
        number for at in [*starts, *edges, *sources.EDITED] for number in (at - 1, at, at + 1) if 0 <= number < 100
    ]
    told = watched(out, [(number + 0.5) / 25 for number in frames], tmp_path / "profile")
    assert "error" not in told, told
    assert told["played"] >= 95 and told["duration"] == pytest.approx(4.0, abs=0.1)
    for number, pixels in zip(frames, told["pictures"], strict=True):
        picture = np.array(pixels).reshape(HEIGHT, WIDTH, 4)[..., :3]
        apart = [float(np.abs(picture - other).mean()) for other in small]
        assert abs(int(np.argmin(apart)) - number) <= 1 and apart[number] < 12, (number, int(np.argmin(apart)))
