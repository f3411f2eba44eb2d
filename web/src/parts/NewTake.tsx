// What is to be said: a voice for each actor who speaks, where, and how; then generate.
import { type FormEvent, useId, useRef, useState } from "react";
import { ApiError, call, local, onceOnly } from "../api";
import { useResource } from "../resource";
import { go } from "../router";
import type { Actor, Peaks, Shot } from "../types";
import { start } from "../uploads";
import { CopyCall, ErrorNote } from "./bits";
import { DropZone, Uploading } from "./Drop";
import { Ranges } from "./Ranges";
import { VoiceMenu } from "./VoiceMenu";
import type { Range } from "./Waveform";

const BAD_NAME = /[/\\]/g;

type Part = { audio_id: string; ranges: Range[] };
type Options = { language: string; strength: number; maintain_expression: boolean; loop_video: boolean; full_resolution: boolean };
type Props = { shot: Shot; actors: Actor[] | null; hasPreview: boolean; made: () => void };

const NOBODY: Part = { audio_id: "", ranges: [] };

export function NewTake({ shot, actors, hasPreview, made }: Props) {
  const peaks = useResource<Peaks>(hasPreview ? `/api/shots/${shot.shot_id}/peaks` : null);
  const [parts, setParts] = useState<Record<number, Part>>({}); // by place in the cast: the first has no number before he is seen
  const [options, setOptions] = useState<Options>({ language: "", strength: 1, maintain_expression: false, loop_video: false, full_resolution: true });
  const [name, setName] = useState<string | null>(null);
  const [error, setError] = useState<ApiError | null>(null);
  const [busy, setBusy] = useState(false);
  const asked = useRef({ body: "", once: "" }); // the same request again is the same request, whatever became of the first
  const cast = actors ?? [{ actor_id: 0, actor_name: "the first actor", thumbnail_url: null }];
  const speaking = cast.flatMap((_, at) => (parts[at]?.audio_id ? [parts[at]] : []));
  const filename = name ?? suggested(shot.label, options.language);
  const request = requestOf(shot, cast, parts, options, filename);

  const change = (at: number, more: Partial<Part>) => setParts((before) => ({ ...before, [at]: { ...NOBODY, ...before[at], ...more } }));

  async function bring(at: number, file: File) {
    const told = await start("audio", file);
    if (told?.audio_id) change(at, { audio_id: told.audio_id });
  }

  async function submit(event: FormEvent) {
    event.preventDefault();
    setBusy(true);
    setError(null);
    const body = JSON.stringify(request);
    if (asked.current.body !== body) asked.current = { body, once: onceOnly() };
    try {
      const { data } = await call<{ generate_id: number }>(request.path, {
        method: "POST", json: request.body, headers: { "idempotency-key": asked.current.once },
      });
      asked.current.body = "";
      made();
      go(`/takes/${data.generate_id}`);
    } catch (problem) {
      if (!(problem instanceof ApiError)) throw problem;
      setError(problem);
      setBusy(false);
    }
  }

  return (
    <form className="panel stack" onSubmit={submit}>
      <h2>New take</h2>
      {cast.map((actor, at) => (
        <Speaker
          key={at}
          actor={actor}
          alone={cast.length === 1}
          part={parts[at] ?? NOBODY}
          peaks={peaks.data}
          seconds={shot.duration_seconds ?? 0}
          loops={options.loop_video}
          change={(more) => change(at, more)}
          bring={(file) => void bring(at, file)}
        />
      ))}
      <Uploading kind="audio" />
      <How options={options} changed={setOptions} ranged={speaking.some((part) => part.ranges.length > 0)} />
      <label>
        Name of the file
        <input value={filename} required maxLength={200} onChange={(event) => setName(event.target.value)} />
      </label>
      {error && <ErrorNote error={error} />}
      <button type="submit" className="main" disabled={busy || !speaking.length}>
        {busy ? "Asking…" : "Generate"}
      </button>
      {!speaking.length && <p className="small muted">Choose or drop a voice first.</p>}
      {shot.ai_training_status !== "finished" && speaking.length > 0 && (
        <p className="small muted">The take starts by itself once the actors are learnt.</p>
      )}
      <CopyCall call={request} />
    </form>
  );
}

type SpeakerProps = {
  actor: Actor;
  alone: boolean;
  part: Part;
  peaks: Peaks | null;
  seconds: number;
  loops: boolean;
  change: (more: Partial<Part>) => void;
  bring: (file: File) => void;
};

function Speaker({ actor, alone, part, peaks, seconds, loops, change, bring }: SpeakerProps) {
  return (
    <div className="speaker stack">
      <div className="row top-aligned">
        {actor.thumbnail_url && <img src={local(actor.thumbnail_url)} alt="" />}
        <VoiceMenu
          label={alone ? "Voice" : `Voice of ${actor.actor_name}`}
          nobody={alone ? "Choose a voice…" : "Says nothing new"}
          chosen={part.audio_id}
          choose={(audio_id) => change({ audio_id })}
        />
      </div>
      <DropZone kind="audio" taken={(files) => files[0] && bring(files[0])}>
        <span>
          <strong>Drop a voice</strong> <span className="muted">or choose: WAV, MP3, M4A, AAC, OGG, FLAC</span>
        </span>
      </DropZone>
      {part.audio_id && <Listen audioId={part.audio_id} />}
      {part.audio_id && !loops && <Ranges peaks={peaks} seconds={seconds} ranges={part.ranges} changed={(ranges) => change({ ranges })} who={actor.actor_name} />}
    </div>
  );
}

export function Listen({ audioId }: { audioId: string }) {
  const voice = useResource<{ url: string }>(`/api/audio/${audioId}/media`);
  return voice.data ? <audio controls preload="none" src={local(voice.data.url)} aria-label="Listen to the voice" /> : null;
}

function How({ options, changed, ranged }: { options: Options; changed: (options: Options) => void; ranged: boolean }) {
  const id = useId();
  const set = (more: Partial<Options>) => changed({ ...options, ...more });
  return (
    <div className="stack">
      <div className="two">
        <label>
          Language
          <input value={options.language} placeholder="es-MX (optional)" maxLength={64} onChange={(event) => set({ language: event.target.value })} />
        </label>
        <div className="field">
          <label htmlFor={id}>
            Strength: {options.strength.toFixed(2)} {options.strength === 1 ? "(natural)" : ""}
          </label>
          <input id={id} type="range" min={0} max={2} step={0.05} value={options.strength} onChange={(event) => set({ strength: Number(event.target.value) })} />
        </div>
      </div>
      <label className="check">
        <input type="checkbox" checked={options.maintain_expression} onChange={(event) => set({ maintain_expression: event.target.checked })} />
        Keep the actor's expression
      </label>
      <label className="check">
        <input type="checkbox" checked={options.loop_video} disabled={ranged} onChange={(event) => set({ loop_video: event.target.checked })} />
        Repeat the shot while the voice lasts
      </label>
      <label className="check">
        <input type="checkbox" checked={!options.full_resolution} onChange={(event) => set({ full_resolution: !event.target.checked })} />
        Quick look only: at most 720 lines
      </label>
    </div>
  );
}

function suggested(label: string, language: string): string {
  const dot = label.lastIndexOf(".");
  const [stem, suffix] = dot > 0 ? [label.slice(0, dot), label.slice(dot)] : [label, ""];
  return `${stem}-${language.trim().replace(BAD_NAME, "") || "dub"}${suffix}`;
}

function requestOf(shot: Shot, cast: Actor[], parts: Record<number, Part>, options: Options, filename: string) {
  const speaking = cast.flatMap((actor, at) => (parts[at]?.audio_id ? [{ actor, part: parts[at] }] : []));
  const body: Record<string, unknown> = { output_filename: filename };
  if (options.language.trim()) body.language = options.language.trim();
  if (options.strength !== 1) body.strength = options.strength;
  if (options.maintain_expression) body.maintain_expression = true;
  if (options.loop_video) body.loop_video = true;
  if (!options.full_resolution) body.full_resolution = false;
  const said = ({ audio_id, ranges }: Part) => (ranges.length && !options.loop_video ? { audio_id, timecode_ranges: ranges } : { audio_id });
  const first = speaking[0];
  if (speaking.length <= 1 && (!first || first.actor === cast[0])) {
    const voice = first ? said(first.part) : { audio_id: "…" };
    return { method: "POST", path: `/v1/shots/${shot.shot_id}/generate`, body: { ...voice, ...body } };
  }
  const named = speaking.map(({ actor, part }) => ({ actor_id: actor.actor_id, ...said(part) }));
  return { method: "POST", path: `/v1/shots/${shot.shot_id}/generate-multi-actor`, body: { actors: named, ...body } };
}
