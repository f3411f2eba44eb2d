// The judge's figures in words.
import type { Quality } from "../types";

type Row = [name: string, value: string, meaning: string];

export function Figures({ quality }: { quality: Quality }) {
  return (
    <table className="figures">
      <caption className="hide">What the judge measured on the output</caption>
      <thead className="hide">
        <tr>
          <th scope="col">Figure</th>
          <th scope="col">Value</th>
          <th scope="col">Meaning</th>
        </tr>
      </thead>
      <tbody>
        {rows(quality).map(([name, value, meaning]) => (
          <tr key={name}>
            <th scope="row">{name}</th>
            <td>{value}</td>
            <td className="muted small">{meaning}</td>
          </tr>
        ))}
      </tbody>
    </table>
  );
}

function passed({ frames_total, frames_dubbed, frames_without_face }: Quality): string {
  if (frames_without_face) return `${frames_without_face} show no usable face and pass through.`;
  return frames_dubbed === frames_total ? "All there are." : "The others are the source's own.";
}

function rows(quality: Quality): Row[] {
  const { frames_total, frames_dubbed, sync_offset_ms, sync_confidence, identity_similarity, untouched_max_diff, same_file } = quality;
  const told: Row[] = [
    ["Frames dubbed", `${frames_dubbed} of ${frames_total}`, passed(quality)],
  ];
  if (sync_offset_ms !== null) told.push(["Lips and sound", `${sync_offset_ms > 0 ? "+" : ""}${sync_offset_ms} ms`, "How far the sound is behind the lips; within one frame nobody sees it."]);
  if (sync_confidence !== null) told.push(["Certainty of that", sync_confidence.toFixed(1), "How clearly the lips follow this sound and no other."]);
  if (identity_similarity) told.push(["Still himself", identity_similarity.toFixed(2), "To a net that tells persons apart; 1 is equal, strangers have about 0.2."]);
  if (untouched_max_diff !== null) told.push(["Largest change elsewhere", `${untouched_max_diff} of 255`, "Of any pixel outside the edited faces; encoding alone costs a few."]);
  if (same_file !== undefined) told.push(["Still the same file", same_file ? "yes" : "no", "Size, codec, rate, colour, streams and tags, as the source has them."]);
  return told;
}
