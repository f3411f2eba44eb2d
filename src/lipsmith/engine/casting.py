"""An actor and what he will do in a shot: learnt or at hand, his wanted mouths, and which of his real ones show them.

Takes a person of watched footage and wanted mouths on the frames' clock, gives the `Part`s that a performance plays.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from operator import itemgetter
from pathlib import Path

import numpy as np

from lipsmith.engine.actor import calibration, model
from lipsmith.engine.actor.expression import expression
from lipsmith.engine.actor.library import ELSEWHERE
from lipsmith.engine.faces.appearances import SAME
from lipsmith.engine.faces.occluders import OccluderFinder
from lipsmith.engine.footage import Footage, Person
from lipsmith.engine.media import decode
from lipsmith.engine.media.clock import Span
from lipsmith.engine.progress import Progress
from lipsmith.engine.render import target as targets
from lipsmith.engine.render.painter import Painter
from lipsmith.engine.render.performance import Part
from lipsmith.engine.render.retrieval import Wanted, retrieve
from lipsmith.engine.render.schedule import Run, runs
from lipsmith.errors import NoFace


def whom(seen: Footage, actor: int | None, given: Path | None) -> Person:
    """Who speaks: the actor with this number; else whom the given file is of, where he is seen; else the main speaker.

    Raises NoFace, UnknownActor, BadActorFile, FileMissing.
    """
    if actor is not None or given is None or len(seen.people) < 2:
        return seen.person(actor)
    with model.load(given) as loaded:
        known = [(loaded.unlike(person.identity), person) for person in seen.people]
    alike = [(apart, person) for apart, person in known if apart is not None and apart < SAME]
    return min(alike, key=itemgetter(0))[1] if alike else seen.main


@contextmanager
def at_hand(
    seen: Footage,
    person: Person,
    given: Path | None,
    folder: Path,
    occluders: OccluderFinder,
    threads: int,
    progress: Progress,
) -> Iterator[model.ActorModel]:
    """The given actor, or one trained on the fly into `folder`. Raises BadActorFile, FaceErrors."""
    path = given or folder / f"{person.actor}.lipsmith"
    if given is None:
        learn(seen, person, path, occluders, threads, progress)
    with model.load(path) as loaded:
        loaded.require_light_of(seen.video)
        yield loaded


def learn(seen: Footage, person: Person, out: Path, occluders: OccluderFinder, threads: int, progress: Progress) -> int:
    """Write an actor's file; gives how many of his mouths it holds. Raises FaceErrors, OutputErrors."""
    frames = decode.frames(seen.spec, seen.excerpt, threads=threads)
    try:
        return model.train(
            person.measured,
            (frame.of_field(0) for frame in frames) if seen.combed else frames,
            seen.video,
            out,
            footage=seen.spec.path,
            actor=person.actor,
            occluders=occluders,
            identity=person.identity,
            heard=person.heard,
            progress=progress,
            threads=threads,
        )
    except NoFace as error:
        raise NoFace(seen.with_what_ails_it(str(error))) from None


def cast_parts(
    seen: Footage, person: Person, actor: model.ActorModel, wanted: np.ndarray, spans: tuple[Span, ...] = ()
) -> tuple[Part, ...]:
    """All that one person will do in the shot. `wanted`: (F, 51, 3) mouths in his own frame, one per video frame."""
    jaw, elsewhere = targets.learn_jaw(actor.library.index.lower), _elsewhere(person, actor, seen)
    painter = Painter(actor.library, actor.provenance.coding, seen.video)
    schedule = runs(person.measured, seen.seconds, seen.cuts, spans)
    return tuple(_part(run, person, wanted, actor, jaw, painter, seen, elsewhere) for run in schedule)


def _elsewhere(person: Person, actor: model.ActorModel, seen: Footage) -> np.ndarray | None:
    """As `ActorModel.elsewhere`; None in the shot he was learnt from."""
    return None if actor.learnt_from(seen.spec.path) else actor.elsewhere(person.measured)


def _part(
    run: Run,
    person: Person,
    wanted: np.ndarray,
    actor: model.ActorModel,
    jaw: targets.JawResponse,
    painter: Painter,
    seen: Footage,
    elsewhere: np.ndarray | None,
) -> Part:
    """One unbroken run of frames; where a picture is held so is its mouth. `elsewhere`: as `_elsewhere` gives."""
    measured, index = person.measured, actor.library.index
    pictures, times = run.pictures(measured.held)
    goal = calibration.project(wanted[measured.indices[pictures.rows]], actor.upright, actor.calibration)
    place = measured.placement.rows(pictures.rows)
    moved = np.float32(0) if elsewhere is None else elsewhere
    rate = float(seen.video.frame_rate) * len(times) / int(times.sum())
    goal = targets.settled(goal + actor.posture.at(place.rotation) + moved, rate)
    aimed = targets.aim(measured, pictures.rows, goal, pictures.weight, jaw)
    period = seen.period or len(seen.pts)
    in_shot = measured.indices[measured.shot == measured.shot[run.rows][0]] % period
    shot = ELSEWHERE if elsewhere is not None else index.shot_of(in_shot)
    tone = index.tone_at(aimed.indices % period, shot)
    choice = retrieve(Wanted(aimed.mouths - moved, place.rotation, place.scale, shot, tone), index)
    return Part(aimed.shown(run.rows, times), choice.shown(times), painter, index.points + moved, shot)


def expression_of(person: Person, actor: model.ActorModel, seen: Footage) -> np.ndarray:
    """(N, 51, 3) what his mouth shows beside speech in the frames where he is seen."""
    measured = person.measured
    upright = measured.points - actor.posture.at(measured.placement.rotation)
    elsewhere = _elsewhere(person, actor, seen)
    upright = upright if elsewhere is None else upright - elsewhere
    return expression(upright, measured.shot, actor.calibration, float(seen.video.frame_rate))
