// Server-sent events through fetch (EventSource cannot send a key). Goes on after the last event when cut off.
import { useEffect, useRef, useState } from "react";
import { errorOf, reachable } from "./api";
import { key } from "./session";
import type { Standing } from "./types";

const FIRST_WAIT_MS = 500;
const LONGEST_WAIT_MS = 8000;

type Event = { id: string; data: Standing };

export async function* events(body: ReadableStream<Uint8Array>): AsyncGenerator<Event> {
  const reader = body.pipeThrough(new TextDecoderStream() as ReadableWritablePair<string, Uint8Array>).getReader();
  let waiting = "";
  for (;;) {
    const { value, done } = await reader.read();
    if (done) return;
    waiting += value;
    let end = waiting.indexOf("\n\n");
    while (end >= 0) {
      const event = parse(waiting.slice(0, end));
      if (event) yield event;
      waiting = waiting.slice(end + 2);
      end = waiting.indexOf("\n\n");
    }
  }
}

function parse(block: string): Event | null {
  const fields = new Map(block.split("\n").map((line) => [line.slice(0, line.indexOf(":")), line.slice(line.indexOf(":") + 1).trim()]));
  const data = fields.get("data");
  return data ? { id: fields.get("id") ?? "", data: JSON.parse(data) } : null;
}

// What `path` tells while `wanted`; `changed` hears of each new status.
export function useLive(path: string, wanted: boolean, ended: (status: string) => boolean, changed: () => void): Standing | null {
  const [standing, setStanding] = useState<Standing | null>(null);
  const tell = useRef({ ended, changed });
  tell.current = { ended, changed };

  useEffect(() => {
    if (!wanted) return;
    const leaving = new AbortController();
    let last = "";
    let status: string | null = null;

    async function listen(): Promise<boolean> {
      const headers: Record<string, string> = { accept: "text/event-stream", "x-api-key": key.get() ?? "" };
      if (last) headers["last-event-id"] = last;
      const response = await fetch(path, { headers, signal: leaving.signal });
      if (!response.ok || !response.body) throw await errorOf(response);
      reachable.set(true);
      for await (const event of events(response.body)) {
        last = event.id;
        setStanding(event.data);
        if (status !== null && status !== event.data.status) tell.current.changed();
        status = event.data.status;
      }
      return status !== null && tell.current.ended(status);
    }

    async function keepListening() {
      let wait = FIRST_WAIT_MS;
      while (!leaving.signal.aborted) {
        try {
          if (await listen()) break;
          wait = FIRST_WAIT_MS;
        } catch (problem) {
          if (leaving.signal.aborted) return;
          if (problem instanceof TypeError) reachable.set(false);
        }
        await new Promise((done) => setTimeout(done, wait));
        wait = Math.min(2 * wait, LONGEST_WAIT_MS);
      }
      tell.current.changed();
    }

    void keepListening();
    return () => leaving.abort();
  }, [path, wanted]);

  return wanted ? standing : null;
}
