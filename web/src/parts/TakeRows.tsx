// Takes as rows: where each stands, and the ways to it.
import { call, local } from "../api";
import { moment } from "../format";
import { Link } from "../router";
import { useSignal } from "../signal";
import { ENDS, type Take } from "../types";
import { complain, hidden, remove } from "../undo";
import { JobBadge, Standings } from "./bits";

export function TakeRows({ takes, gone, withShot = false }: { takes: Take[]; gone: () => void; withShot?: boolean }) {
  const away = useSignal(hidden);
  const shown = takes.filter((take) => !away.has(`/api/jobs/${take.generate_id}`) && !away.has(`/api/shots/${take.shot_id}`));
  return (
    <ul className="plain rows">
      {shown.map((take) => (
        <li key={take.generate_id} className="take">
          <div className="grow">
            <Link to={`/takes/${take.generate_id}`} className="cut title">
              {take.output_filename}
            </Link>
            <p className="small muted cut">
              Take {take.generate_id}
              {withShot && take.shot_label ? <> of {take.shot_label}</> : null} · {moment(take.created_at)}
              {take.options.language ? ` · ${take.options.language}` : ""}
            </p>
            {take.status === "running" && (
              <Standings standing={take} label={`Progress of ${take.output_filename}`} />
            )}
            {take.status === "failed" && <p className="small error">{take.failure_reason}</p>}
          </div>
          <JobBadge status={take.status} />
          <Actions take={take} changed={gone} />
        </li>
      ))}
    </ul>
  );
}

export function Actions({ take, changed, deleted = changed }: { take: Take; changed: () => void; deleted?: () => void }) {
  const ended = ENDS.includes(take.status);
  async function post(what: "cancel" | "retry") {
    try {
      await call(`/api/jobs/${take.generate_id}/${what}`, { method: "POST" });
    } catch (problem) {
      complain(problem);
    }
    changed();
  }
  return (
    <div className="row">
      {take.status === "finished" && (
        <button type="button" aria-label={`Download ${take.output_filename}`} onClick={() => void download(take)}>
          Download
        </button>
      )}
      {!ended && (
        <button type="button" onClick={() => void post("cancel")}>
          Cancel
        </button>
      )}
      {(take.status === "failed" || take.status === "cancelled") && (
        <button type="button" onClick={() => void post("retry")}>
          Try again
        </button>
      )}
      <button
        type="button"
        className="quiet"
        aria-label={`Delete ${take.output_filename}`}
        onClick={() => remove(`/api/jobs/${take.generate_id}`, take.output_filename, deleted)}
      >
        Delete
      </button>
    </div>
  );
}

async function download(take: Take): Promise<void> {
  try {
    const { data } = await call<{ download_url: string }>(`/v1/renders/${take.generate_id}/download`);
    const link = document.createElement("a");
    link.href = local(data.download_url);
    link.download = "";
    link.click();
  } catch (problem) {
    complain(problem);
  }
}
