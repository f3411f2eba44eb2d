// The voices to choose from: a page of the newest, or of those whose name holds the words searched for.
import { useEffect, useId, useState } from "react";
import { withQuery } from "../api";
import { useResource } from "../resource";
import type { Audio } from "../types";
import { ErrorNote } from "./bits";

const SIZE = 50;
const TYPED_MS = 250;

type Props = { label: string; nobody: string; chosen: string; choose: (audioId: string) => void };

export function VoiceMenu({ label, nobody, chosen, choose }: Props) {
  const id = useId();
  const [typed, setTyped] = useState("");
  const [asked, setAsked] = useState({ words: "", page: 1 });
  const [known, setKnown] = useState<Audio | null>(null); // the chosen one, which another search may not find
  const voices = useResource<Audio[]>(withQuery("/api/audio", { q: asked.words, page: asked.page, per_page: SIZE, status: "completed" }));
  const [shown, setShown] = useState<{ rows: Audio[]; count: number } | null>(null); // while the next are on their way
  const rows = shown?.rows ?? [];
  const count = shown?.count ?? 0;
  const many = count > SIZE || asked.words !== "";
  const { data, reload } = voices;

  useEffect(() => {
    if (data) setShown({ rows: data, count: voices.count });
  }, [data, voices.count]);
  useEffect(() => {
    const soon = setTimeout(() => setAsked((before) => (before.words === typed.trim() ? before : { words: typed.trim(), page: 1 })), TYPED_MS);
    return () => clearTimeout(soon);
  }, [typed]);
  useEffect(() => {
    if (chosen) reload(); // it may have been brought just now
  }, [chosen, reload]);
  useEffect(() => {
    const found = rows.find((row) => row.audio_id === chosen);
    if (found) setKnown(found);
  }, [rows, chosen]);

  const offered = known?.audio_id === chosen && !rows.some((row) => row.audio_id === chosen) ? [known, ...rows] : rows;
  return (
    <div className="field grow">
      <label htmlFor={id}>{label}</label>
      {many && (
        <input type="search" value={typed} placeholder={`Search ${asked.words ? "" : `${count} `}voices`} aria-label={`Search: ${label}`} onChange={(event) => setTyped(event.target.value)} />
      )}
      <select id={id} value={chosen} onChange={(event) => choose(event.target.value)}>
        <option value="">{nobody}</option>
        {offered.map((voice) => (
          <option key={voice.audio_id} value={voice.audio_id}>
            {voice.file_name}
          </option>
        ))}
      </select>
      {many && (
        <div className="row spread small muted" role="status">
          {count > 0 ? `${(asked.page - 1) * SIZE + 1} to ${Math.min(asked.page * SIZE, count)} of ${count} voices` : "No voice has such a name."}
          {count > SIZE && <Turn page={asked.page} last={Math.ceil(count / SIZE)} to={(page) => setAsked({ ...asked, page })} />}
        </div>
      )}
      {voices.error && <ErrorNote error={voices.error} again={reload} />}
    </div>
  );
}

function Turn({ page, last, to }: { page: number; last: number; to: (page: number) => void }) {
  return (
    <span className="row">
      <button type="button" className="quiet" disabled={page === 1} onClick={() => to(page - 1)} aria-label="Newer voices">
        Newer
      </button>
      <button type="button" className="quiet" disabled={page === last} onClick={() => to(page + 1)} aria-label="Older voices">
        Older
      </button>
    </span>
  );
}
