// A place to drop files on, and what is on its way.
import { type DragEvent, type ReactNode, useId, useState } from "react";
import { bytes, left } from "../format";
import { useSignal } from "../signal";
import { ACCEPT, forget, type Kind, type Upload, uploads } from "../uploads";
import { Bar, ErrorNote } from "./bits";

export function DropZone({ kind, children, taken, many = false }: {
  kind: Kind;
  children: ReactNode;
  taken: (files: File[]) => void;
  many?: boolean;
}) {
  const id = useId();
  const [over, setOver] = useState(false);
  function drop(event: DragEvent) {
    event.preventDefault();
    setOver(false);
    const files = [...event.dataTransfer.files];
    if (files.length) taken(many ? files : files.slice(0, 1));
  }
  return (
    <label
      className={over ? "drop over" : "drop"}
      htmlFor={id}
      onDragOver={(event) => {
        event.preventDefault();
        setOver(true);
      }}
      onDragLeave={() => setOver(false)}
      onDrop={drop}
    >
      <input
        id={id}
        type="file"
        accept={ACCEPT[kind]}
        multiple={many}
        onChange={(event) => {
          taken([...(event.target.files ?? [])]);
          event.target.value = "";
        }}
      />
      {children}
    </label>
  );
}

export function Uploading({ kind }: { kind: Kind }) {
  const shown = useSignal(uploads).filter((upload) => upload.kind === kind && upload.state !== "done" && upload.state !== "stopped");
  if (!shown.length) return null;
  return (
    <ul className="plain stack" aria-label="Uploads">
      {shown.map((upload) => (
        <li key={upload.id} className="panel tight">
          <div className="row spread">
            <strong className="cut">{upload.name}</strong>
            <button type="button" className="quiet" onClick={() => forget(upload.id)}>
              {upload.state === "failed" ? "Dismiss" : "Stop"}
            </button>
          </div>
          {upload.error ? <ErrorNote error={upload.error} /> : <Sent upload={upload} />}
        </li>
      ))}
    </ul>
  );
}

function Sent({ upload }: { upload: Upload }) {
  const { sent, size, bytesPerSecond: speed, state } = upload;
  const words =
    state === "checking"
      ? "Arrived; the server looks at it"
      : state === "waiting"
        ? `${bytes(sent)} of ${bytes(size)} are there · connection lost, trying again`
        : `${bytes(sent)} of ${bytes(size)}${speed > 0 ? ` · ${bytes(speed)}/s · ${left((size - sent) / speed)}` : ""}`;
  return (
    <>
      <Bar percent={size ? (100 * sent) / size : 0} label={`Upload of ${upload.name}`} />
      <p className="small muted">{words}</p>
    </>
  );
}
