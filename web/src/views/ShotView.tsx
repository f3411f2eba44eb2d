// One shot: who is in it, and what they are to say.
import { useState } from "react";
import { local, withQuery } from "../api";
import { Badge, CopyCall, ErrorNote, Heading, ShotBadge, Standings } from "../parts/bits";
import { NewTake } from "../parts/NewTake";
import { TakeRows } from "../parts/TakeRows";
import { useLive } from "../live";
import { type Resource, useResource } from "../resource";
import { go, Link } from "../router";
import { type Actor, ENDS, failed, type Preview, ready, type Shot, type Take } from "../types";
import { remove } from "../undo";
import { facts } from "./Shots";

const TAKES = 10;
const LOOK_MS = 2000;
const PREVIEW_MS = 1500;

export function ShotView({ id }: { id: number }) {
  const shot = useResource<Shot>(`/api/shots/${id}`);
  const data = shot.data;
  if (shot.error && !data) return <ErrorNote error={shot.error} again={shot.reload} />;
  if (!data) return <p className="muted">Loading…</p>;
  return <Inside shot={data} reload={shot.reload} />;
}

function Inside({ shot, reload }: { shot: Shot; reload: () => void }) {
  const id = shot.shot_id;
  const working = !ready(shot) && !failed(shot);
  const live = useLive(`/api/shots/${id}/events`, working, (status) => status.includes("finished") || status.includes("failed"), reload);
  const known = shot.shot_status === "finished";
  const actors = useResource<Actor[]>(known ? `/v1/shots/${id}/actors` : null);
  const takes = useResource<Take[]>(withQuery("/api/jobs", { shot_id: id, per_page: TAKES }), (rows) =>
    rows.every((take) => ENDS.includes(take.status)) ? null : LOOK_MS,
  );
  const preview = useResource<Preview>(known ? `/api/shots/${id}/media` : null, (found) => (found.state === "waiting" ? PREVIEW_MS : null));
  const standing = live ?? { status: shot.shot_status, progress: shot.progress, stage: shot.stage, eta_seconds: shot.eta_seconds };
  return (
    <>
      <div className="row spread wrap">
        <div className="grow">
          <p className="small muted">
            <Link to="/">Shots</Link> / <Link to={withQuery("/", { project: shot.project_id })}>{shot.project_name}</Link>
          </p>
          <Heading title={shot.label}>{shot.label}</Heading>
          <p className="small muted">
            <ShotBadge shot={shot} /> {facts(shot)}
          </p>
        </div>
        <button type="button" className="quiet" onClick={() => leave(shot)}>
          Delete shot
        </button>
      </div>
      {working && <Stages shot={shot} standing={standing} />}
      {failed(shot) && (
        <div className="note bad" role="alert">
          <p>{shot.failure_reason ?? "This shot could not be used."}</p>
        </div>
      )}
      <div className="columns">
        <section aria-label="The shot">
          <Player preview={preview.data} waiting={known} />
          <Actors actors={actors.data} waiting={!known && !failed(shot)} />
        </section>
        {!failed(shot) && (
          <section aria-label="A new take">
            <NewTake shot={shot} actors={actors.data} hasPreview={preview.data?.state === "ready"} made={takes.reload} />
          </section>
        )}
      </div>
      <Made takes={takes} id={id} />
    </>
  );
}

function leave(shot: Shot): void {
  remove(`/api/shots/${shot.shot_id}`, shot.label, () => undefined);
  go("/");
}

function Stages({ shot, standing }: { shot: Shot; standing: Parameters<typeof Standings>[0]["standing"] }) {
  const steps = [
    ["Uploaded", "done"],
    ["Watch the shot, find the actors", shot.shot_status === "finished" ? "done" : "now"],
    ["Learn the actors", shot.shot_status === "finished" ? "now" : "later"],
  ];
  return (
    <section className="panel" aria-label="Preparation">
      <ol className="stages">
        {steps.map(([name, state]) => (
          <li key={name} className={state} aria-current={state === "now" ? "step" : undefined}>
            {name}
          </li>
        ))}
      </ol>
      <Standings standing={standing} label="Preparation of the shot" />
    </section>
  );
}

function Player({ preview, waiting }: { preview: Preview | null; waiting: boolean }) {
  const [first, setFirst] = useState<string | null>(null);
  if (preview?.state === "ready" && first === null) setFirst(local(preview.url));
  if (first) return <video className="player" src={first} controls playsInline aria-label="The shot as filmed" />;
  if (preview?.state === "failed") return <p className="empty">No preview: {preview.failure_reason}</p>;
  if (preview?.state === "off") return <p className="empty">This server makes no previews to play.</p>;
  return <p className="empty">{waiting ? "A preview to play is being made…" : "The preview appears once the shot has been watched."}</p>;
}

function Actors({ actors, waiting }: { actors: Actor[] | null; waiting: boolean }) {
  return (
    <section aria-label="Actors">
      <h2>Actors</h2>
      {waiting && <p className="muted">They appear here once the shot has been watched.</p>}
      <ul className="plain row wrap">
        {actors?.map((actor) => (
          <li key={actor.actor_id} className="face">
            {actor.thumbnail_url && <img src={local(actor.thumbnail_url)} alt={`Portrait of ${actor.actor_name}`} />}
            <span className="cut">{actor.actor_name}</span>
          </li>
        ))}
      </ul>
    </section>
  );
}

function Made({ takes, id }: { takes: Resource<Take[]>; id: number }) {
  return (
    <section aria-label="Takes of this shot">
      <div className="row spread">
        <h2>
          Takes {takes.count > 0 && <Badge kind="idle">{takes.count}</Badge>}
        </h2>
        {takes.count > TAKES && <Link to={withQuery("/takes", { shot: id })}>All takes</Link>}
      </div>
      {takes.error && <ErrorNote error={takes.error} again={takes.reload} />}
      {takes.data?.length === 0 && <p className="empty">No takes yet.</p>}
      {takes.data && <TakeRows takes={takes.data} gone={takes.reload} />}
      <CopyCall call={{ method: "GET", path: withQuery("/api/jobs", { shot_id: id }) }} title="List these by API" />
    </section>
  );
}

