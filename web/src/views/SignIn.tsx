import { type FormEvent, useState } from "react";
import { ApiError, call } from "../api";
import { ErrorNote, Heading } from "../parts/bits";
import { signIn } from "../session";

export function SignIn() {
  const [error, setError] = useState<ApiError | null>(null);
  const [busy, setBusy] = useState(false);

  async function submit(event: FormEvent<HTMLFormElement>) {
    event.preventDefault();
    const form = new FormData(event.currentTarget);
    const given = String(form.get("key")).trim();
    setBusy(true);
    try {
      await call("/v1/whoami", { as: given });
      signIn(given, form.get("remember") !== null);
    } catch (problem) {
      if (!(problem instanceof ApiError)) throw problem;
      setError(problem.status === 403 ? new ApiError(403, "This key is not known here. Look for a missing character.", problem.requestId) : problem);
      setBusy(false);
    }
  }

  return (
    <main className="signin">
      <div className="panel">
        <Mark />
        <Heading title="Sign in">Sign in to Lipsmith</Heading>
        <p className="muted">
          With an API key. The server prints one at its first start; its owner makes more with <code>lipsmith keys create you@example.com</code>.
        </p>
        <form onSubmit={submit} className="stack">
          <label>
            API key
            <input name="key" type="password" autoComplete="current-password" required autoFocus spellCheck={false} placeholder="lsk_…" />
          </label>
          <label className="check">
            <input name="remember" type="checkbox" /> Stay signed in on this computer
          </label>
          {error && <ErrorNote error={error} />}
          <button type="submit" className="main" disabled={busy}>
            {busy ? "Looking…" : "Sign in"}
          </button>
        </form>
      </div>
    </main>
  );
}

export function Mark() {
  return (
    <svg className="mark" viewBox="0 0 32 32" aria-hidden="true">
      <rect width="32" height="32" rx="8" />
      <path className="lips" d="M5 15c4-5 7-6 11-3 4-3 7-2 11 3-3 6-7 9-11 9S8 21 5 15Z" />
      <path className="gap" d="M8 15.5c5-1.6 11-1.6 16 0-5 2.8-11 2.8-16 0Z" />
    </svg>
  );
}
