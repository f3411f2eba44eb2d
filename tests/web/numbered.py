"""A take whose pictures carry their number: source and dub as films made on the spot, written past the engine.

So what is seen can be read off the screen, whatever the page says of itself.
"""

from __future__ import annotations

import json
import uuid
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from sqlalchemy.orm import Session
from tests.service.conftest import Server

from lipsmith.service import previews
from lipsmith.service.tables import Job, Project, Scene, Shot, Upload, now, transaction

WIDTH, HEIGHT, RATE = 1280, 720, 30
BITS, BLOCK = 10, 64  # a number as white and black squares along the upper edge

# Reads both canvases at every repaint into window.seen: [milliseconds, source, dub].
WATCH = f"""() => {{
    window.seen = [];
    const small = document.createElement('canvas'); small.width = {BITS}; small.height = 1;
    const paint = small.getContext('2d', {{willReadFrequently: true}});
    const read = (canvas) => {{
        paint.imageSmoothingEnabled = false;
        const scale = canvas.width / {WIDTH};
        paint.drawImage(canvas, 0, 0, {BITS * BLOCK} * scale, {BLOCK} * scale, 0, 0, {BITS}, 1);
        const pixels = paint.getImageData(0, 0, {BITS}, 1).data;
        let number = 0;
        for (let bit = 0; bit < {BITS}; bit++) if (pixels[4 * bit] > 127) number += 2 ** bit;
        return number;
    }};
    const pictures = [...document.querySelectorAll('.stage canvas')];
    const look = (now) => {{ seen.push([now, ...pictures.map(read)]); requestAnimationFrame(look); }};
    requestAnimationFrame(look);
}}"""


@dataclass(frozen=True)
class Numbered:
    shot_id: int
    take_id: int


def add(server: Server, *, source_frames: int, dub_frames: int) -> Numbered:
    """A finished take with previews; where the dub is longer, it repeats the source."""
    with server.database() as engine, transaction(engine) as session:
        shot = _shot(session)
        job = Job(tenant_id=1, shot_id=shot.id, status="finished", output_filename="numbers-dub.mp4", ended_at=now())
        loops = dub_frames > source_frames
        job.options = {"voices": [], "language": None, "maintain_expression": False, "full_resolution": True}
        job.options |= {"loop_video": loops}
        job.quality = {"judged": "off", "sync_offset_ms": None, "sync_confidence": None, "untouched_max_diff": None}
        job.quality |= {"frames_total": dub_frames, "frames_dubbed": dub_frames, "frames_without_face": 0}
        session.add(job)
        session.flush()
        made = Numbered(shot.id, job.id)
        places = {shot.model_key: source_frames, previews.prefix_of_job(job): dub_frames}
    objects = server.data / "objects" / "objects"
    for prefix, frames in places.items():
        note = {"width": WIDTH, "height": HEIGHT, "frames": frames, "mouths": []}
        note["frame_times"] = {"first": 0.0, "each": 1 / RATE}
        (objects / prefix).mkdir(parents=True)
        film(objects / prefix / previews.PROXY, frames)
        (objects / prefix / previews.NOTE).write_text(json.dumps(note))
    return made


def _shot(session: Session) -> Shot:
    video = str(uuid.uuid4())
    project = Project(tenant_id=1, user_id=1, name="Numbered")
    session.add(project)
    session.flush()
    scene = Scene(project_id=project.id, name="one")
    upload = Upload(id=video, tenant_id=1, kind="video", status="completed", file_name="numbers.mp4")
    upload.content_type, upload.limit_bytes, upload.object_key = "video/mp4", 1, f"1/video/{video}"
    upload.expires_at = now()
    session.add_all([scene, upload])
    session.flush()
    shot = Shot(tenant_id=1, project_id=project.id, scene_id=scene.id, video_id=video, label="numbers.mp4")
    shot.status, shot.training_status, shot.progress = "finished", "finished", 100
    shot.rate_numerator, shot.rate_denominator, shot.model_key = RATE, 1, f"1/model/{video}"
    session.add(shot)
    session.flush()
    return shot


def film(path: Path, frames: int) -> None:
    """Moving stripes that are some work to decode, a keyframe per second, a tone."""
    across = np.arange(WIDTH)[None, :] + np.arange(HEIGHT)[:, None]
    grain = np.random.default_rng(1).integers(0, 60, (HEIGHT, WIDTH))
    with av.open(str(path), "w", container_options={"movflags": "+faststart"}) as file:
        picture = file.add_stream("libx264", rate=RATE, options={"preset": "ultrafast", "crf": "28", "g": str(RATE)})
        picture.width, picture.height, picture.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        sound = file.add_stream("aac", rate=48_000, layout="mono")
        for number in range(frames):
            pixels = ((across + 7 * number) % 160 + np.roll(grain, 3 * number, 1)).astype(np.uint8)
            for bit in range(BITS):
                pixels[:BLOCK, bit * BLOCK : (bit + 1) * BLOCK] = 255 * (number >> bit & 1)
            image = av.VideoFrame.from_ndarray(pixels, "gray")
            image.pts, image.time_base = number, Fraction(1, RATE)
            file.mux(picture.encode(image))
            tone = 0.1 * np.sin(2 * np.pi * 220 * (number * 1600 + np.arange(1600)) / 48_000)
            heard = av.AudioFrame.from_ndarray(tone.astype(np.float32)[None], "fltp", "mono")
            heard.sample_rate, heard.pts = 48_000, number * 1600
            file.mux(sound.encode(heard))
        file.mux(picture.encode(None))
        file.mux(sound.encode(None))
