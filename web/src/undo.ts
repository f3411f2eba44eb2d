// Deleting with a way back: what is deleted leaves the page at once and the server a few seconds later.
import { ApiError, call } from "./api";
import { key } from "./session";
import { Signal } from "./signal";

const GRACE_MS = 7000;
const SHOWN_MS = 9000;

export type Toast = { id: number; text: string; requestId?: string | null; undo?: () => void; close: () => void };

export const toasts = new Signal<Toast[]>([]);
export const hidden = new Signal<ReadonlySet<string>>(new Set()); // paths of what is on its way out
const waiting = new Map<string, { timer: ReturnType<typeof setTimeout>; toast: number }>();
let counter = 0;

function show(text: string, more: { requestId?: string | null; undo?: () => void } = {}, forMs?: number): number {
  counter += 1;
  const id = counter;
  const close = () => toasts.set(toasts.get().filter((toast) => toast.id !== id));
  toasts.set([...toasts.get(), { id, text, close, ...more }]);
  if (forMs) setTimeout(close, forMs);
  return id;
}

export function say(text: string): void {
  show(text, {}, SHOWN_MS);
}

export function complain(problem: unknown): void {
  if (!(problem instanceof ApiError)) throw problem;
  show(problem.message, { requestId: problem.requestId });
}

function hide(path: string, hiding: boolean): void {
  const next = new Set(hidden.get());
  if (hiding) next.add(path);
  else next.delete(path);
  hidden.set(next);
}

export function remove(path: string, name: string, gone: () => void): void {
  hide(path, true);
  const undo = () => {
    end(path);
    hide(path, false);
  };
  const toast = show(`${name} deleted.`, { undo });
  const timer = setTimeout(async () => {
    end(path);
    try {
      await call(`${path}?force=true`, { method: "DELETE" });
      gone();
    } catch (problem) {
      hide(path, false);
      complain(problem);
    }
  }, GRACE_MS);
  waiting.set(path, { timer, toast });
}

function end(path: string): void {
  const entry = waiting.get(path);
  if (!entry) return;
  clearTimeout(entry.timer);
  waiting.delete(path);
  toasts.set(toasts.get().filter((toast) => toast.id !== entry.toast));
}

// Leaving the page means it.
addEventListener("pagehide", () => {
  for (const path of waiting.keys()) {
    void fetch(`${path}?force=true`, { method: "DELETE", keepalive: true, headers: { "x-api-key": key.get() ?? "" } });
  }
  waiting.clear();
});
