// Source and dub as one: side by side or wiped over each other, in step, by frame, in a loop, near the mouth.
import { type CSSProperties, type PointerEvent, type RefObject, useCallback, useEffect, useMemo, useRef, useState } from "react";
import { local } from "../api";
import { FrameClock } from "../clock";
import { timecode } from "../format";
import { Pair } from "../pair";
import { useResource } from "../resource";
import { Reel, Shown } from "../shown";
import { Track } from "../track";
import type { Curves, Peaks, Preview } from "../types";
import { Curve } from "./Curve";
import { closeUp } from "./lens";
import { type Range, repeated, Waveform } from "./Waveform";

type Ready = Extract<Preview, { state: "ready" }>;
type Props = { source: Ready; dub: Ready; curves: Curves | null; repeats: boolean; takeId: number; shotId: number };
type Mode = "side" | "wipe" | "source" | "dub";
type Heard = "source" | "dub";

const MODES: [Mode, string, string][] = [
  ["side", "Side by side", "S"],
  ["wipe", "Wipe", "W"],
  ["source", "Source", "1"],
  ["dub", "Dub", "2"],
];
const PACES = [0.25, 0.5, 1];

export function Compare({ curves, repeats, takeId, shotId, ...given }: Props) {
  const [{ source, dub }] = useState(given); // as first given: later ones are of the same files
  const clocks = useMemo(() => {
    const frames = repeats ? dub.frames : Math.min(source.frames, dub.frames);
    return { axis: new FrameClock(dub.frame_times, frames), source: new FrameClock(source.frame_times, source.frames) };
  }, [source, dub, repeats]);
  const clock = clocks.axis;
  const { pair, shown, frame, playing, sourceView, dubView } = usePair(clocks);
  const [mode, setMode] = useState<Mode>("side");
  const [heard, setHeard] = useState<Heard>("dub");
  const [wipe, setWipe] = useState(50);
  const [near, setNear] = useState(false);
  const [face, setFace] = useState(0);
  const [pace, setPace] = useState(1);
  const [loop, setLoop] = useState<Range | null>(null);
  const peaks = {
    dub: useResource<Peaks>(`/api/jobs/${takeId}/peaks`).data,
    source: useResource<Peaks>(`/api/shots/${shotId}/peaks`).data,
  };
  const everySeconds = repeats && source.frames < clock.frames ? clock.start(source.frames) - clock.start(0) : null;
  const drawn = useMemo(() => {
    const found = peaks[heard];
    return found && heard === "source" && everySeconds ? repeated(found, everySeconds, clock.seconds) : found;
  }, [heard, peaks.source, peaks.dub, everySeconds, clock]);
  const looped = useMemo((): Range[] => (loop ? [loop] : []), [loop]);
  const mouths = source.mouths[face];
  useEffect(() => {
    shown.current?.look((at) => (near && mouths ? closeUp(mouths, clocks.source.start(at % source.frames)) : null));
  }, [shown, near, mouths, clocks, source]);

  const hear = useCallback(
    (which: Heard) => {
      setHeard(which);
      const { video } = which === "dub" ? dubView : sourceView;
      if (video.current) pair.current?.hear(video.current);
    },
    [pair, dubView, sourceView],
  );
  const repeat = useCallback(
    (range: Range | null) => {
      setLoop(range);
      if (pair.current) pair.current.loop = range;
    },
    [pair],
  );
  const edge = (side: 0 | 1) => {
    const at = side === 0 ? clock.start(frame) : clock.middle(frame);
    const other = loop?.[1 - side] ?? (side === 0 ? clock.seconds : 0);
    repeat(side === 0 ? [at, Math.max(at + 0.1, other)] : [Math.min(at - 0.1, other), at]);
  };

  useKeys({
    " ": () => pair.current?.toggle(),
    ArrowLeft: (event) => void pair.current?.step(event.shiftKey ? -Math.round(clock.perSecond) : -1),
    ArrowRight: (event) => void pair.current?.step(event.shiftKey ? Math.round(clock.perSecond) : 1),
    Home: () => void pair.current?.toFrame(0),
    End: () => void pair.current?.toFrame(clock.frames - 1),
    a: () => hear(heard === "dub" ? "source" : "dub"),
    s: () => setMode("side"),
    w: () => setMode("wipe"),
    "1": () => setMode("source"),
    "2": () => setMode("dub"),
    z: () => mouths && setNear(!near),
    i: () => edge(0),
    o: () => edge(1),
    l: () => repeat(null),
  });

  function drag(event: PointerEvent<HTMLDivElement>) {
    if (mode !== "wipe" || event.buttons !== 1) return;
    const box = dubView.canvas.current!.parentElement!.getBoundingClientRect();
    setWipe(Math.min(100, Math.max(0, (100 * (event.clientX - box.left)) / box.width)));
  }

  const ratio = { "--ratio": dub.width / dub.height } as CSSProperties;
  const uncovered = mode === "wipe" ? { clipPath: `inset(0 0 0 ${wipe}%)` } : {};
  return (
    <section className="compare" aria-label="Compare source and dub">
      <div className={`stage ${mode}`} style={ratio} onPointerDown={drag} onPointerMove={drag} data-frame={frame}>
        <View name="Source" preview={source} parts={sourceView} heard={heard === "source"} />
        <View name="Dub" preview={dub} parts={dubView} heard={heard === "dub"} style={uncovered} />
        {mode === "wipe" && <div className="edge" style={{ left: `${wipe}%` }} aria-hidden="true" />}
      </div>

      <div className="transport">
        <div className="row">
          <button type="button" aria-label="One frame back" title="One frame back (←)" onClick={() => void pair.current?.step(-1)}>
            ◂
          </button>
          <button type="button" className="main" onClick={() => pair.current?.toggle()} title="Space">
            {playing ? "Pause" : "Play"}
          </button>
          <button type="button" aria-label="One frame on" title="One frame on (→)" onClick={() => void pair.current?.step(1)}>
            ▸
          </button>
          <output className="time" aria-label="Time and frame">
            {timecode(frame, clock.perSecond)} <span className="muted">frame {frame}</span>
          </output>
        </div>
        <div className="switch" role="group" aria-label="View">
          {MODES.map(([name, label, shortcut]) => (
            <button key={name} type="button" aria-pressed={mode === name} title={shortcut} onClick={() => setMode(name)}>
              {label}
            </button>
          ))}
        </div>
        <div className="switch" role="group" aria-label="Sound">
          {(["source", "dub"] as const).map((which) => (
            <button key={which} type="button" aria-pressed={heard === which} title="A" onClick={() => hear(which)}>
              {which === "source" ? "Hear A: source" : "Hear B: dub"}
            </button>
          ))}
        </div>
        <button type="button" aria-pressed={near} disabled={!mouths} title="Z" onClick={() => setNear(!near)}>
          Mouth
        </button>
        {near && source.mouths.length > 1 && (
          <select aria-label="Whose mouth" value={face} onChange={(event) => setFace(Number(event.target.value))}>
            {source.mouths.map((one, at) => (
              <option key={one.face} value={at}>
                Actor {at + 1}
              </option>
            ))}
          </select>
        )}
        <select
          aria-label="Pace"
          value={pace}
          onChange={(event) => {
            setPace(Number(event.target.value));
            pair.current?.setPace(Number(event.target.value));
          }}
        >
          {PACES.map((one) => (
            <option key={one} value={one}>
              {one} ×
            </option>
          ))}
        </select>
        {loop && (
          <button type="button" title="L" onClick={() => repeat(null)}>
            End loop {loop[0].toFixed(2)}–{loop[1].toFixed(2)} s
          </button>
        )}
      </div>
      {mode === "wipe" && (
        <label className="small muted">
          Edge between source and dub
          <input type="range" min={0} max={100} step={0.5} value={wipe} onChange={(event) => setWipe(Number(event.target.value))} />
        </label>
      )}

      <div className="axis">
        {drawn && (
          <Waveform
            peaks={drawn}
            seconds={clock.seconds}
            ranges={looped}
            changed={(ranges) => repeat(ranges[0] ?? null)}
            single
            sought={(at) => void pair.current?.toFrame(clock.at(at))}
            label={`Sound of the ${heard}; drag to loop a region`}
          />
        )}
        {curves?.actors.map((actor, at) => (
          <Curve
            key={actor.face}
            actor={actor}
            name={curves.actors.length > 1 ? `Actor ${at + 1}` : ""}
            share={(curves.seconds_each * Math.max(actor.source.length, 1)) / clock.seconds}
            sought={(share) => void pair.current?.toFrame(clock.at(share * clock.seconds))}
          />
        ))}
        <div className="head" style={{ left: `${(100 * clock.middle(frame)) / clock.seconds}%` }} aria-hidden="true" />
      </div>
      <p className="small muted keys">
        <kbd>Space</kbd> play <kbd>←</kbd> <kbd>→</kbd> frame <kbd>Shift</kbd> second <kbd>A</kbd> sound A/B <kbd>S</kbd> <kbd>W</kbd> <kbd>1</kbd> <kbd>2</kbd> view{" "}
        <kbd>Z</kbd> mouth <kbd>I</kbd> <kbd>O</kbd> loop from, to <kbd>L</kbd> end loop; or drag on the waveform
      </p>
    </section>
  );
}

type Parts = { video: RefObject<HTMLVideoElement | null>; canvas: RefObject<HTMLCanvasElement | null> };
type ViewProps = { name: string; preview: Ready; parts: Parts; heard: boolean; style?: CSSProperties };

// The video plays beneath the canvas, which shows those of its frames that have their counterpart.
function View({ name, preview: { url, width, height }, parts, heard, style = {} }: ViewProps) {
  const [first] = useState(local(url));
  return (
    <figure className={`view ${name.toLowerCase()}`} style={{ aspectRatio: `${width} / ${height}`, ...style }}>
      <video ref={parts.video} src={first} muted={!heard} playsInline preload="auto" aria-hidden="true" tabIndex={-1} />
      <canvas ref={parts.canvas} role="img" aria-label={name} />
      <figcaption>
        {name}
        {heard ? " · heard" : ""}
      </figcaption>
    </figure>
  );
}

function useParts(): Parts {
  const video = useRef<HTMLVideoElement>(null);
  const canvas = useRef<HTMLCanvasElement>(null);
  return useMemo(() => ({ video, canvas }), []);
}

function usePair(clocks: { axis: FrameClock; source: FrameClock }) {
  const [sourceView, dubView] = [useParts(), useParts()];
  const pair = useRef<Pair | null>(null);
  const shown = useRef<Shown | null>(null);
  const [frame, setFrame] = useState(0);
  const [playing, setPlaying] = useState(false);

  useEffect(() => {
    const { axis } = clocks;
    const dub = new Track(dubView.video.current!, axis, axis);
    const source = new Track(sourceView.video.current!, clocks.source, axis);
    const seen = new Shown([new Reel(dub, dubView.canvas.current!), new Reel(source, sourceView.canvas.current!)], setFrame);
    const made = new Pair(dub, source, axis, seen, () => pair.current && setPlaying(made.playing));
    [pair.current, shown.current] = [made, seen];
    return () => {
      seen.end();
      made.end();
      pair.current = shown.current = null;
    };
  }, [clocks, dubView, sourceView]);

  return { pair, shown, frame, playing, sourceView, dubView };
}

type Keys = Record<string, (event: KeyboardEvent) => void>;

function useKeys(keys: Keys): void {
  const latest = useRef(keys);
  latest.current = keys;
  useEffect(() => {
    function pressed(event: KeyboardEvent) {
      if (event.ctrlKey || event.metaKey || event.altKey || typing(event)) return;
      const act = latest.current[event.key.length === 1 ? event.key.toLowerCase() : event.key];
      if (!act) return;
      event.preventDefault();
      act(event);
    }
    addEventListener("keydown", pressed);
    return () => removeEventListener("keydown", pressed);
  }, []);
}

const MOVES = ["ArrowLeft", "ArrowRight", "Home", "End"];

// Keys that the focused control needs for itself.
function typing(event: KeyboardEvent): boolean {
  const target = event.target as HTMLElement;
  if (target.matches("input[type=range]")) return MOVES.includes(event.key);
  if (target.matches("input, textarea, select, audio, video[controls]")) return true;
  return event.key === " " && target.matches("button, a, summary");
}
