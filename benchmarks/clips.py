"""Where the real clips are and which speakers are kept for measuring."""

from __future__ import annotations

import os
from pathlib import Path

HERE = Path(__file__).parent


def folder() -> Path:
    """The clips' folder: LIPSMITH_CLIPS, or shared/clips beside the repository."""
    found = Path(os.environ.get("LIPSMITH_CLIPS") or HERE.parents[1] / "shared/clips")
    if not found.is_dir():
        raise SystemExit(f"No clips in {found}; set LIPSMITH_CLIPS to a folder with video/ and audio/.")
    return found


def clip(prefix: str) -> Path:
    """The one clip whose name begins so, in video/ or in the folder that comes before it ("hard/nospeech")."""
    part, _, start = prefix.rpartition("/")
    return next(path for path in sorted((folder() / (part or "video")).iterdir()) if path.name.startswith(start))


def voice(name: str) -> Path:
    return folder() / "audio" / name


def held_out() -> list[Path]:
    """All clips of held-out speakers, by name."""
    lines = (HERE / "held_out.txt").read_text().splitlines()
    return [clip(line.strip()) for line in lines if line.strip() and not line.startswith("#")]


# (target, speaker): who is dubbed, and whose clip gives voice and truth. Both held out, never the same person; fixed
# before anything was measured, to mix sizes, ages, beards, glasses and head movement.
PAIRS = (
    ("latentsync_woman", "hdtf_katiehill"),
    ("hdtf_bobmenendez", "vretalk_man_map"),
    ("opendubbing", "hdtf_woman_256"),
    ("vretalk_woman_red", "latentsync_woman"),
    ("latentsync_man", "vox_man_dark"),
    ("hdtf_radio2", "man_outdoor"),
    ("mead_W015", "vretalk_woman_blue"),
    ("vretalk_man_map", "hdtf_radio2"),
    ("vretalk_woman_blue", "tcd_woman"),
    ("hdtf_katiehill", "hdtf_bobmenendez"),
)
