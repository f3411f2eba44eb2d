// The small parts that every view uses.
import { type FormEvent, type ReactNode, useEffect, useState } from "react";
import type { ApiError } from "../api";
import { left, stageName } from "../format";
import { go, Link } from "../router";
import { asCurl, asPython, type Call } from "../snippets";
import { failed, ready, type JobStatus, type Shot, type Standing } from "../types";
import { say } from "../undo";

export function ErrorNote({ error, again }: { error: ApiError; again?: () => void }) {
  return (
    <div className="note bad" role="alert">
      <p>{error.message}</p>
      {error.requestId && (
        <p className="small">
          Request id <code>{error.requestId}</code>
        </p>
      )}
      {again && (
        <button type="button" onClick={again}>
          Try again
        </button>
      )}
    </div>
  );
}

export function Bar({ percent, label }: { percent: number; label: string }) {
  return (
    <div className="bar" role="progressbar" aria-label={label} aria-valuemin={0} aria-valuemax={100} aria-valuenow={Math.round(percent)}>
      <div style={{ width: `${percent}%` }} />
    </div>
  );
}

export function Badge({ kind, children }: { kind: "good" | "bad" | "busy" | "idle"; children: ReactNode }) {
  return <span className={`badge ${kind}`}>{children}</span>;
}

const JOB_WORDS: Record<JobStatus, [kind: "good" | "bad" | "busy" | "idle", word: string]> = {
  not_started: ["idle", "Waits for the actors"],
  pending: ["idle", "Queued"],
  running: ["busy", "Rendering"],
  finished: ["good", "Finished"],
  failed: ["bad", "Failed"],
  cancelled: ["idle", "Cancelled"],
  skipped: ["idle", "Skipped"],
};

export function JobBadge({ status }: { status: JobStatus }) {
  const [kind, word] = JOB_WORDS[status];
  return <Badge kind={kind}>{word}</Badge>;
}

export function ShotBadge({ shot }: { shot: Shot }) {
  if (failed(shot)) return <Badge kind="bad">Failed</Badge>;
  if (ready(shot)) return <Badge kind="good">Ready</Badge>;
  if (shot.shot_status === "finished") return <Badge kind="busy">Learning actors</Badge>;
  return shot.shot_status === "running" ? <Badge kind="busy">Watching</Badge> : <Badge kind="idle">Queued</Badge>;
}

export function Standings({ standing, label }: { standing: Standing; label: string }) {
  return (
    <div className="standing">
      <Bar percent={standing.progress} label={label} />
      <p className="small muted">
        {stageName(standing.stage) || (standing.status === "running" ? "Starting" : "Waiting for a worker")} · {standing.progress} %
        {standing.eta_seconds !== null && standing.stage !== null ? ` · ${left(standing.eta_seconds)}` : ""}
      </p>
    </div>
  );
}

export function Pager({ page, size, count, to }: { page: number; size: number; count: number; to: (page: number) => string }) {
  const last = Math.max(1, Math.ceil(count / size));
  if (last === 1) return null;
  return (
    <nav className="pager" aria-label="Pages">
      {page > 1 ? <Link to={to(page - 1)}>Newer</Link> : <span aria-disabled="true">Newer</span>}
      <span className="muted">
        Page {page} of {last} · {count} in all
      </span>
      {page < last ? <Link to={to(page + 1)}>Older</Link> : <span aria-disabled="true">Older</span>}
    </nav>
  );
}

type SearchProps = { label: string; hint: string; words: string; to: (words: string) => string; children?: ReactNode };

export function Search({ label, hint, words, to, children }: SearchProps) {
  function search(event: FormEvent<HTMLFormElement>) {
    event.preventDefault();
    go(to(String(new FormData(event.currentTarget).get("q"))));
  }
  return (
    <form className="row spread" role="search" aria-label={label} onSubmit={search}>
      <label className="inline grow">
        <span className="hide">{label}</span>
        <input name="q" type="search" defaultValue={words} key={words} placeholder={hint} />
      </label>
      <button type="submit">Search</button>
      {children}
    </form>
  );
}

export function CopyCall({ call, title = "This as an API call" }: { call: Call; title?: string }) {
  const [language, setLanguage] = useState<"curl" | "Python">("curl");
  const text = language === "curl" ? asCurl(call) : asPython(call);
  async function copy() {
    try {
      await navigator.clipboard.writeText(text);
      say(`${language} copied. It reads the key from LIPSMITH_API_KEY.`);
    } catch {
      say("The browser does not allow copying here; select the text instead.");
    }
  }
  return (
    <details className="call">
      <summary>{title}</summary>
      <div className="row">
        <div className="switch" role="group" aria-label="Language of the call">
          {(["curl", "Python"] as const).map((name) => (
            <button key={name} type="button" aria-pressed={language === name} onClick={() => setLanguage(name)}>
              {name}
            </button>
          ))}
        </div>
        <button type="button" onClick={copy}>
          Copy as {language}
        </button>
      </div>
      <pre tabIndex={0} aria-label={`The call as ${language}`}>
        {text}
      </pre>
    </details>
  );
}

export function Heading({ children, title }: { children: ReactNode; title: string }) {
  useEffect(() => {
    document.title = `${title} · Lipsmith`;
  }, [title]);
  return <h1>{children}</h1>;
}
