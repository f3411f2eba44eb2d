// One call of the API: the key in a header, the envelope taken off, an error in plain words with its request id.
import { key, signOut } from "./session";
import { Signal } from "./signal";

export class ApiError extends Error {
  constructor(
    readonly status: number, // 0: no answer at all
    message: string,
    readonly requestId: string | null,
  ) {
    super(message);
  }
}

export type Query = Record<string, string | number | undefined>;
export type Answer<T> = { data: T; count: number; body: Record<string, unknown> };

// Whether the server answered the last time it was asked.
export const reachable = new Signal(true);

const PLAIN: Record<number, string> = {
  403: "This key is not accepted here. Sign in again, or ask the owner of the server for a new one.",
  404: "This is not there (any more).",
  413: "This is too large for the server.",
  429: "Too many calls in a short time. Wait a little and try again.",
  500: "The server made a mistake. Nothing you did; the request id helps its owner find it.",
  503: "The server is busy restarting or its database is away. Try again in a moment.",
  507: "The server's disk is full.",
};

export async function call<T>(path: string, options: RequestInit & { json?: unknown; as?: string } = {}): Promise<Answer<T>> {
  const { json, as, ...rest } = options;
  const headers = new Headers(rest.headers);
  const mine = as ?? key.get();
  if (mine) headers.set("x-api-key", mine);
  if (json !== undefined) headers.set("content-type", "application/json");
  let response: Response;
  try {
    response = await fetch(path, { ...rest, headers, body: json === undefined ? rest.body : JSON.stringify(json) });
  } catch (error) {
    if (rest.signal?.aborted) throw error;
    reachable.set(false);
    throw new ApiError(0, "The server cannot be reached. Is it running, and is this computer on its network?", null);
  }
  reachable.set(true);
  if (!response.ok) {
    const error = await errorOf(response);
    if (response.status === 403 && as === undefined && error.message === PLAIN[403]) signOut();
    throw error;
  }
  const body = response.status === 204 ? {} : await response.json();
  return { data: body.data as T, count: body.count ?? 0, body };
}

export async function errorOf(response: Response): Promise<ApiError> {
  const requestId = response.headers.get("x-request-id");
  let told: unknown;
  try {
    told = await response.json();
  } catch {
    told = null;
  }
  return new ApiError(response.status, sentence(response.status, told), requestId);
}

function sentence(status: number, told: unknown): string {
  const body = (told ?? {}) as { detail?: unknown; title?: string };
  if (Array.isArray(body.detail)) return body.detail.map((entry) => refusal(entry)).join(" ");
  const said = typeof body.detail === "string" ? body.detail : body.title;
  const empty = said === undefined || said === "Not Found" || said === "Internal Server Error" || said === "Forbidden";
  const known = PLAIN[status] ?? `The server answered with status ${status}.`;
  return empty || status === 429 || status === 503 ? known : capital(said);
}

function refusal(entry: { loc: (string | number)[]; msg: string }): string {
  const field = entry.loc.slice(1).join(" ").replaceAll("_", " ");
  return capital(`${field ? `${field}: ` : ""}${entry.msg}.`.replace("..", "."));
}

function capital(text: string): string {
  return text.charAt(0).toUpperCase() + text.slice(1);
}

export function withQuery(path: string, query: Query): string {
  const given = Object.entries(query).filter(([, value]) => value !== undefined && value !== "");
  const text = new URLSearchParams(given.map(([name, value]) => [name, String(value)])).toString();
  return text ? `${path}?${text}` : path;
}

// A signed URL as this page may load it: the server that served the page serves the file.
export function local(url: string): string {
  const parsed = new URL(url, location.href);
  return parsed.pathname + parsed.search;
}

// A key that makes a creating call safe to send twice.
export function onceOnly(): string {
  return Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) => byte.toString(16).padStart(2, "0")).join("");
}
