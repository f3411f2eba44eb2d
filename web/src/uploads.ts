// Files on their way to the server, in pieces that can be repeated. Cut off, an upload asks what has arrived and goes
// on from there; after a reload it goes on once the same file is chosen again.
import { ApiError, call, errorOf, local, onceOnly, reachable } from "./api";
import { Signal } from "./signal";

const PIECE_BYTES = 8 * 1024 * 1024;
const NOTES = "lipsmith-uploads";
const NOTES_KEPT_MS = 23 * 3600 * 1000; // the server forgets unfinished uploads after a day
const SPEED_OVER_MS = 4000;
const WAITS_MS = [500, 1000, 2000, 4000, 8000];

export type Kind = "video" | "audio";

export type Upload = {
  id: number;
  kind: Kind;
  name: string;
  size: number;
  sent: number;
  bytesPerSecond: number;
  state: "sending" | "waiting" | "checking" | "done" | "failed" | "stopped";
  error: ApiError | null;
  result: { shot_id?: number; audio_id?: string };
};

type Place = { upload_url: string; success_url: string; failure_url: string; resumable?: boolean };
type Note = Place & { kind: Kind; name: string; size: number; modified: number; at: number };

export const uploads = new Signal<Upload[]>([]);
const stops = new Map<number, AbortController>();
let counter = 0;

const TYPES: Record<string, string> = {
  mp4: "video/mp4", mov: "video/quicktime", avi: "video/x-msvideo", webm: "video/webm", mkv: "video/x-matroska",
  mp3: "audio/mpeg", wav: "audio/wav", m4a: "audio/mp4", aac: "audio/aac", ogg: "audio/ogg", flac: "audio/flac",
};
export const ACCEPT: Record<Kind, string> = {
  video: ".mp4,.mov,.avi,.webm,.mkv",
  audio: ".wav,.mp3,.m4a,.aac,.ogg,.flac,.mp4,.mov",
};

function change(id: number, more: Partial<Upload>): void {
  uploads.set(uploads.get().map((upload) => (upload.id === id ? { ...upload, ...more } : upload)));
}

export function forget(id: number): void {
  stops.get(id)?.abort();
  uploads.set(uploads.get().filter((upload) => upload.id !== id));
}

export async function start(kind: Kind, file: File, names: Record<string, string> = {}): Promise<Upload["result"] | null> {
  counter += 1;
  const id = counter;
  const stop = new AbortController();
  stops.set(id, stop);
  const fresh: Upload = {
    id, kind, name: file.name, size: file.size, sent: 0, bytesPerSecond: 0, state: "sending", error: null, result: {},
  };
  uploads.set([fresh, ...uploads.get()]);
  try {
    const result = await bring(id, kind, file, names, stop.signal);
    change(id, { state: "done", sent: file.size, result });
    return result;
  } catch (problem) {
    if (stop.signal.aborted) {
      change(id, { state: "stopped" });
    } else if (problem instanceof ApiError) {
      change(id, { state: "failed", error: problem });
    } else throw problem;
    return null;
  } finally {
    stops.delete(id);
  }
}

async function bring(id: number, kind: Kind, file: File, names: Record<string, string>, signal: AbortSignal) {
  const type = TYPES[file.name.split(".").pop()?.toLowerCase() ?? ""] ?? file.type;
  const body = { file_name: file.name, content_type: type, size_bytes: file.size, ...names };
  const known = resumable(kind, file);
  let place = known ?? (await create(kind, file, body, signal));
  try {
    await send(id, place, file, type, signal);
  } catch (problem) {
    if (!known || !(problem instanceof ApiError) || problem.status < 400 || problem.status >= 500) throw problem;
    drop(kind, file); // what was begun is not there any more
    place = await create(kind, file, body, signal);
    await send(id, place, file, type, signal);
  }
  change(id, { state: "checking", sent: file.size });
  try {
    const { data } = await call<Upload["result"]>(place.success_url, { method: "POST", signal });
    return data;
  } finally {
    if (!signal.aborted && reachable.get()) drop(kind, file);
  }
}

async function create(kind: Kind, file: File, body: unknown, signal: AbortSignal): Promise<Place> {
  const { data } = await call<Place>(`/v1/${kind}`, {
    method: "POST", json: body, signal, headers: { "idempotency-key": onceOnly() },
  });
  const note: Note = { ...data, kind, name: file.name, size: file.size, modified: file.lastModified, at: Date.now() };
  write([...notes(), note]);
  return data;
}

async function send(id: number, place: Place, file: File, type: string, signal: AbortSignal): Promise<void> {
  const whole = place.resumable === false; // the store's own URL takes no pieces
  const url = whole ? place.upload_url : local(place.upload_url);
  let sent = whole ? 0 : await stored(url, file.size, signal);
  const meter = new Meter();
  let tries = 0;
  while (sent < file.size) {
    try {
      const from = sent;
      const told = (more: number) => {
        meter.note(from + more);
        change(id, { state: "sending", sent: from + more, bytesPerSecond: meter.perSecond() });
      };
      sent = await put(url, file, type, from, whole, told, signal);
      tries = 0;
    } catch (problem) {
      const passing = problem instanceof ApiError && (problem.status === 0 || problem.status >= 500) && problem.status !== 507;
      if (!passing || signal.aborted) throw problem;
      change(id, { state: "waiting", bytesPerSecond: 0 });
      await new Promise((done) => setTimeout(done, WAITS_MS[Math.min(tries, WAITS_MS.length - 1)]));
      tries += 1;
      sent = whole ? 0 : await stored(url, file.size, signal).catch(() => sent);
    }
  }
}

// How many bytes have arrived.
async function stored(url: string, size: number, signal: AbortSignal): Promise<number> {
  let response: Response;
  try {
    response = await fetch(url, { method: "PUT", headers: { "content-range": `bytes */${size}` }, signal });
  } catch {
    throw new ApiError(0, "The server cannot be reached.", null);
  }
  if (response.status === 308) return after(response.headers.get("range"));
  if (response.ok) return size;
  throw await errorOf(response);
}

function after(range: string | null): number {
  return range ? Number(range.split("-")[1]) + 1 : 0;
}

// XMLHttpRequest, for fetch does not tell how much of a body is sent.
function put(
  url: string, file: File, type: string, from: number, whole: boolean, told: (sent: number) => void, signal: AbortSignal,
): Promise<number> {
  const end = whole ? file.size : Math.min(from + PIECE_BYTES, file.size);
  return new Promise((done, fail) => {
    const request = new XMLHttpRequest();
    request.open("PUT", url);
    request.setRequestHeader("content-type", type);
    if (!whole) request.setRequestHeader("content-range", `bytes ${from}-${end - 1}/${file.size}`);
    request.upload.onprogress = (event) => told(event.loaded);
    const away = () => fail(new ApiError(0, "The connection was cut.", null));
    request.onerror = away;
    request.onabort = away;
    request.onload = () => {
      if (request.status === 200) done(file.size);
      else if (request.status === 308) done(after(request.getResponseHeader("range")));
      else {
        const headers = { "x-request-id": request.getResponseHeader("x-request-id") ?? "" };
        errorOf(new Response(request.responseText, { status: request.status, headers })).then(fail);
      }
    };
    signal.addEventListener("abort", () => request.abort(), { once: true });
    request.send(file.slice(from, end));
  });
}

class Meter {
  private marks: [number, number][] = [];

  note(sent: number): void {
    const now = performance.now();
    this.marks = [...this.marks.filter(([at]) => now - at < SPEED_OVER_MS), [now, sent]];
  }

  perSecond(): number {
    const first = this.marks[0];
    const last = this.marks.at(-1);
    return first && last && last[0] > first[0] ? (1000 * (last[1] - first[1])) / (last[0] - first[0]) : 0;
  }
}

function notes(): Note[] {
  try {
    const kept: Note[] = JSON.parse(localStorage.getItem(NOTES) ?? "[]");
    return kept.filter((note) => Date.now() - note.at < NOTES_KEPT_MS);
  } catch {
    return [];
  }
}

function write(kept: Note[]): void {
  localStorage.setItem(NOTES, JSON.stringify(kept));
}

function same(note: Note, kind: Kind, file: File): boolean {
  return note.kind === kind && note.name === file.name && note.size === file.size && note.modified === file.lastModified;
}

function resumable(kind: Kind, file: File): Note | null {
  return notes().find((note) => same(note, kind, file)) ?? null;
}

function drop(kind: Kind, file: File): void {
  write(notes().filter((note) => !same(note, kind, file)));
}

// Uploads that a reload has cut off: names to choose again.
export function interrupted(kind: Kind): string[] {
  const running = new Set(uploads.get().map((upload) => upload.name));
  return notes().filter((note) => note.kind === kind && !running.has(note.name)).map((note) => note.name);
}
