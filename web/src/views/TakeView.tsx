// One take: how it comes along, then how it came out.
import { useEffect } from "react";
import { duration } from "../format";
import { useLive } from "../live";
import { CopyCall, ErrorNote, Heading, JobBadge, Standings } from "../parts/bits";
import { Compare } from "../parts/Compare";
import { Figures } from "../parts/Figures";
import { Actions } from "../parts/TakeRows";
import { useResource } from "../resource";
import { go, Link } from "../router";
import { ENDS, type Preview, type Quality, type Shot, type Take, type TakeMedia } from "../types";

const PREVIEW_MS = 1500;
const MEASURE_MS = 4000;
const NOT_JUDGED: Record<Exclude<Quality["judged"], "done">, string> = {
  waiting: "The judge is at work on the file; its figures and curves appear here.",
  off: "This server does not judge its dubs, so there are no figures and no curves of it.",
  failed: "The judge could not measure this file, so there are no figures and no curves of it.",
};

export function TakeView({ id }: { id: number }) {
  const take = useResource<Take>(`/api/jobs/${id}`);
  if (take.error && !take.data) return <ErrorNote error={take.error} again={take.reload} />;
  if (!take.data) return <p className="muted">Loading…</p>;
  return <Inside take={take.data} reload={take.reload} />;
}

function Inside({ take, reload }: { take: Take; reload: () => void }) {
  const id = take.generate_id;
  const working = !ENDS.includes(take.status);
  const standing = useLive(`/api/jobs/${id}/events`, working, (status) => ENDS.includes(status), reload);
  const shot = useResource<Shot>(`/api/shots/${take.shot_id}`);
  const finished = take.status === "finished";
  return (
    <>
      <div className="row spread wrap">
        <div className="grow">
          <p className="small muted">
            <Link to="/takes">Takes</Link> /{" "}
            {shot.data ? <Link to={`/shots/${take.shot_id}`}>{shot.data.label}</Link> : `shot ${take.shot_id}`}
          </p>
          <Heading title={take.output_filename}>{take.output_filename}</Heading>
          <p className="small muted">
            <JobBadge status={take.status} /> {said(take)}
          </p>
        </div>
        <Actions take={take} changed={reload} deleted={() => location.pathname === `/takes/${id}` && go(`/shots/${take.shot_id}`)} />
      </div>
      {working && (
        <section className="panel" aria-label="Progress of the take">
          <Standings standing={standing ?? take} label="Progress of the take" />
        </section>
      )}
      {take.status === "failed" && (
        <div className="note bad" role="alert">
          <p>{take.failure_reason ?? "The take failed."}</p>
        </div>
      )}
      {finished && <Result take={take} />}
      {take.warnings.length > 0 && (
        <section aria-label="Remarks">
          <h2>Remarks</h2>
          <ul>
            {take.warnings.map((warning) => (
              <li key={warning}>{warning}</li>
            ))}
          </ul>
        </section>
      )}
      <CopyCall call={{ method: "GET", path: finished ? `/v1/renders/${id}/download` : `/api/jobs/${id}` }} title={finished ? "Download it by API" : "Ask for it by API"} />
    </>
  );
}

function Result({ take }: { take: Take }) {
  const id = take.generate_id;
  const media = useResource<TakeMedia>(`/api/jobs/${id}/media`, (found) => (waiting(found) ? PREVIEW_MS : null));
  const quality = useResource<Quality>(`/api/jobs/${id}/quality`, ({ judged }) => (judged === "waiting" ? MEASURE_MS : null));
  const judged = quality.data?.judged;
  const { reload } = media;
  useEffect(() => {
    if (judged === "done") reload(); // for the curves
  }, [judged, reload]);
  if (media.error && !media.data) return <ErrorNote error={media.error} again={media.reload} />;
  const { source, dub, curves } = media.data ?? { source: null, dub: null, curves: null };
  return (
    <>
      {source?.state === "ready" && dub?.state === "ready" ? (
        <Compare source={source} dub={dub} curves={curves} repeats={take.options.loop_video} takeId={id} shotId={take.shot_id} />
      ) : (
        <p className="empty">{why(dub, source)}</p>
      )}
      {quality.data && (
        <section aria-label="Figures">
          <h2>Figures</h2>
          <Figures quality={quality.data} />
          {judged && judged !== "done" && <p className="small muted">{NOT_JUDGED[judged]}</p>}
        </section>
      )}
    </>
  );
}

function why(dub: Preview | null, source: Preview | null): string {
  for (const one of [dub, source]) if (one?.state === "failed") return `No preview: ${one.failure_reason}`;
  if (dub?.state === "off") return "This server makes no previews to play; the file itself can be downloaded.";
  return "The preview is being made; the file itself can be downloaded already.";
}

function waiting(media: TakeMedia): boolean {
  return media.dub.state === "waiting" || media.source.state === "waiting";
}

function said(take: Take): string {
  const { voices, maintain_expression, strength = 1, loop_video, full_resolution, language } = take.options;
  const ranges = voices.reduce((count, voice) => count + (voice.ranges?.length ?? 0), 0);
  const took = take.started_at && take.ended_at ? (Date.parse(take.ended_at) - Date.parse(take.started_at)) / 1000 : null;
  const parts = [
    language,
    ranges ? `${ranges} range${ranges > 1 ? "s" : ""}` : "whole shot",
    maintain_expression ? "expression kept" : null,
    strength === 1 ? null : `strength ${strength}`,
    loop_video ? "repeated" : null,
    full_resolution ? null : "quick look",
    took === null ? null : `rendered in ${duration(took)}`,
  ];
  return parts.filter(Boolean).join(" · ");
}
