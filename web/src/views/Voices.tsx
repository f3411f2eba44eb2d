import { useState } from "react";
import { withQuery } from "../api";
import { moment } from "../format";
import { Badge, ErrorNote, Heading, Pager, Search } from "../parts/bits";
import { DropZone, Uploading } from "../parts/Drop";
import { Listen } from "../parts/NewTake";
import { useResource } from "../resource";
import { Link } from "../router";
import { useSignal } from "../signal";
import type { Audio } from "../types";
import { hidden, remove } from "../undo";
import { start } from "../uploads";

const SIZE = 25;

export function Voices({ page, words }: { page: number; words: string }) {
  const voices = useResource<Audio[]>(withQuery("/api/audio", { page, per_page: SIZE, q: words }));
  const away = useSignal(hidden);
  const [heard, setHeard] = useState<string | null>(null);
  const shown = voices.data?.filter((voice) => !away.has(`/api/audio/${voice.audio_id}`));
  async function take(files: File[]) {
    await Promise.all(files.map((file) => start("audio", file)));
    voices.reload();
  }
  return (
    <>
      <Heading title="Voices">Voices</Heading>
      <DropZone kind="audio" taken={(files) => void take(files)} many>
        <span>
          <strong>Drop voices here</strong> <span className="muted">or choose: WAV, MP3, M4A, AAC, OGG, FLAC</span>
        </span>
      </DropZone>
      <Uploading kind="audio" />
      <Search label="Search voices" hint="Search by name" words={words} to={(q) => withQuery("/voices", { q })}>
        {words && <Link to="/voices">Show all</Link>}
      </Search>
      {voices.error && <ErrorNote error={voices.error} again={voices.reload} />}
      {shown?.length === 0 && <p className="empty">{words ? "No voice fits that." : "No voices yet."}</p>}
      <ul className="plain rows">
        {shown?.map((voice) => (
          <li key={voice.audio_id} className="take">
            <div className="grow">
              <span className="cut title">{voice.file_name}</span>
              <p className="small muted">{moment(voice.created_at)}</p>
              {heard === voice.audio_id && <Listen audioId={voice.audio_id} />}
            </div>
            {voice.upload_status !== "completed" && <Badge kind={voice.upload_status === "failed" ? "bad" : "idle"}>{voice.upload_status === "failed" ? "Failed" : "Not whole"}</Badge>}
            <div className="row">
              {voice.upload_status === "completed" && heard !== voice.audio_id && (
                <button type="button" aria-label={`Listen to ${voice.file_name}`} onClick={() => setHeard(voice.audio_id)}>
                  Listen
                </button>
              )}
              <button
                type="button"
                className="quiet"
                aria-label={`Delete ${voice.file_name}`}
                onClick={() => remove(`/api/audio/${voice.audio_id}`, voice.file_name, voices.reload)}
              >
                Delete
              </button>
            </div>
          </li>
        ))}
      </ul>
      <Pager page={page} size={SIZE} count={voices.count} to={(number) => withQuery("/voices", { page: number, q: words })} />
    </>
  );
}
