// Something the API has, kept fresh: asked again when told to, and every so often while `everyMs` says so.
import { useCallback, useEffect, useRef, useState } from "react";
import { type Answer, ApiError, call } from "./api";

const RETRY_MS = 2500;

export type Resource<T> = {
  data: T | null;
  count: number;
  error: ApiError | null;
  reload: () => void;
};

export function useResource<T>(path: string | null, everyMs?: (data: T) => number | null): Resource<T> {
  const [answer, setAnswer] = useState<{ path: string; got: Answer<T> } | null>(null);
  const [error, setError] = useState<ApiError | null>(null);
  const [turn, setTurn] = useState(0);
  const every = useRef(everyMs);
  every.current = everyMs;
  const reload = useCallback(() => setTurn((before) => before + 1), []);

  useEffect(() => {
    if (path === null) return;
    const leaving = new AbortController();
    let timer: ReturnType<typeof setTimeout> | undefined;
    const again = (milliseconds: number) => {
      timer = setTimeout(document.hidden ? () => again(milliseconds) : ask, milliseconds);
    };
    async function ask() {
      try {
        const got = await call<T>(path!, { signal: leaving.signal });
        setAnswer({ path: path!, got });
        setError(null);
        const wait = every.current?.(got.data) ?? null;
        if (wait !== null) again(wait);
      } catch (problem) {
        if (leaving.signal.aborted) return;
        if (!(problem instanceof ApiError)) throw problem;
        setError(problem);
        if (problem.status === 0 || problem.status >= 500) again(RETRY_MS);
      }
    }
    void ask();
    return () => {
      leaving.abort();
      clearTimeout(timer);
    };
  }, [path, turn]);

  const mine = answer !== null && answer.path === path ? answer.got : null;
  return { data: mine?.data ?? null, count: mine?.count ?? 0, error, reload };
}
