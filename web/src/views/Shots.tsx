// The shots, newest first, and the place where a new one is dropped.
import { useState } from "react";
import { local, withQuery } from "../api";
import { bytes, duration, moment, rate } from "../format";
import { Badge, ErrorNote, Heading, Pager, Search, ShotBadge, Standings } from "../parts/bits";
import { DropZone, Uploading } from "../parts/Drop";
import { useResource } from "../resource";
import { go, Link } from "../router";
import { useSignal } from "../signal";
import { failed, ready, type Shot } from "../types";
import { hidden, remove } from "../undo";
import { interrupted, start } from "../uploads";

const SIZE = 24;
const LOOK_MS = 1500;

export function Shots({ page, project, words }: { page: number; project: string | null; words: string }) {
  const query = { page, per_page: SIZE, project_id: project ?? undefined, q: words };
  const shots = useResource<Shot[]>(withQuery("/api/shots", query), (rows) => (rows.every((row) => ready(row) || failed(row)) ? null : LOOK_MS));
  const away = useSignal(hidden);
  const [names, setNames] = useState({ project_name: "", actor_name: "" });
  const shown = shots.data?.filter((shot) => !away.has(`/api/shots/${shot.shot_id}`));

  async function take(files: File[]) {
    const given = Object.fromEntries(Object.entries(names).filter(([, value]) => value.trim()));
    const results = await Promise.all(files.map((file) => start("video", file, given)));
    shots.reload();
    const first = results[0];
    if (files.length === 1 && first?.shot_id && location.pathname === "/") go(`/shots/${first.shot_id}`);
  }

  return (
    <>
      <Heading title="Shots">Shots</Heading>
      <section className="newshot" aria-label="A new shot">
        <DropZone kind="video" taken={(files) => void take(files)} many>
          <strong>Drop a shot here</strong>
          <span className="muted">or choose a file: MP4, MOV, MKV, AVI, WebM; any size, any codec</span>
        </DropZone>
        <div className="stack">
          <label>
            Project
            <input value={names.project_name} placeholder="as the file" onChange={(event) => setNames({ ...names, project_name: event.target.value })} />
          </label>
          <label>
            Actor
            <input value={names.actor_name} placeholder="as the file" onChange={(event) => setNames({ ...names, actor_name: event.target.value })} />
          </label>
        </div>
      </section>
      <Interrupted />
      <Uploading kind="video" />
      <Search label="Search shots" hint="Search by shot or project" words={words} to={(q) => withQuery("/", { q, project: project ?? undefined })}>
        {(project || words) && <Link to="/">Show all</Link>}
      </Search>
      {shots.error && <ErrorNote error={shots.error} again={shots.reload} />}
      {shown && !shown.length && <Nothing searched={Boolean(project || words)} />}
      <ul className="plain grid">
        {shown?.map((shot) => (
          <li key={shot.shot_id}>
            <Card shot={shot} gone={shots.reload} />
          </li>
        ))}
      </ul>
      <Pager page={page} size={SIZE} count={shots.count} to={(number) => withQuery("/", { page: number, q: words, project: project ?? undefined })} />
    </>
  );
}

function Nothing({ searched }: { searched: boolean }) {
  return <p className="empty">{searched ? "No shot fits that." : "No shots yet. Drop one above; the actors in it are found and learnt by themselves."}</p>;
}

function Interrupted() {
  const names = interrupted("video");
  if (!names.length) return null;
  return (
    <p className="note" role="status">
      The upload of {names.join(", ")} was interrupted. Choose the same file again: it goes on where it stopped.
    </p>
  );
}

function Card({ shot, gone }: { shot: Shot; gone: () => void }) {
  const path = `/api/shots/${shot.shot_id}`;
  const working = !ready(shot) && !failed(shot);
  return (
    <article className="card">
      <Link to={`/shots/${shot.shot_id}`} className="cover" tabIndex={-1} aria-hidden="true">
        {shot.thumbnail_url ? <img src={local(shot.thumbnail_url)} alt="" loading="lazy" /> : <span className="muted">no picture yet</span>}
      </Link>
      <div className="inside">
        <div className="row spread">
          <Link to={`/shots/${shot.shot_id}`} className="cut title">
            {shot.label}
          </Link>
          <ShotBadge shot={shot} />
        </div>
        <p className="small muted cut">{shot.project_name}</p>
        {working ? (
          <Standings standing={{ status: shot.shot_status, progress: shot.progress, stage: shot.stage, eta_seconds: shot.eta_seconds }} label={`Progress of ${shot.label}`} />
        ) : (
          <p className="small muted">{facts(shot)}</p>
        )}
        <div className="row spread small">
          <span className="muted">
            {moment(shot.created_at)} {shot.takes > 0 && <Badge kind="idle">{shot.takes === 1 ? "1 take" : `${shot.takes} takes`}</Badge>}
          </span>
          <button type="button" className="quiet" aria-label={`Delete ${shot.label}`} onClick={() => remove(path, shot.label, gone)}>
            Delete
          </button>
        </div>
      </div>
    </article>
  );
}

export function facts(shot: Shot): string {
  const parts = [
    shot.duration_seconds === null ? null : duration(shot.duration_seconds),
    shot.constant_rate ? rate(shot.frame_rate) : "variable frame rate",
    shot.frame_count === null ? null : `${shot.frame_count} frames`,
    shot.size_bytes === null ? null : bytes(shot.size_bytes),
  ];
  return parts.filter(Boolean).join(" · ");
}
