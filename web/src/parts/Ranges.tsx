// Where a voice is to be heard and seen: drawn on the waveform, or typed.
import type { Peaks } from "../types";
import { type Range, Waveform } from "./Waveform";

type Props = { peaks: Peaks | null; seconds: number; ranges: Range[]; changed: (ranges: Range[]) => void; who: string };

export function Ranges({ peaks, seconds, ranges, changed, who }: Props) {
  function edit(at: number, side: 0 | 1, text: string) {
    const value = Number(text);
    if (!Number.isFinite(value)) return;
    changed(ranges.map((range, index) => (index === at ? (side === 0 ? [value, range[1]] : [range[0], value]) : range)));
  }
  function add() {
    const from = Math.min(ranges.at(-1)?.[1] ?? 0, Math.max(0, seconds - 0.5));
    changed([...ranges, [from, Math.min(seconds, from + Math.max(0.5, seconds / 5))]]);
  }
  return (
    <fieldset className="ranges">
      <legend>Ranges for {who}</legend>
      {peaks && (
        <Waveform peaks={peaks} seconds={seconds} ranges={ranges} changed={changed} label={`Sound of the shot; ranges for ${who} are drawn on it`} />
      )}
      <p className="small muted">
        {ranges.length ? "Only these ranges are dubbed." : "The whole shot is dubbed. Drag on the waveform to dub ranges only."}
      </p>
      <ul className="plain stack">
        {ranges.map((range, at) => (
          <li key={at} className="row">
            {([0, 1] as const).map((side) => (
              <label key={side} className="inline">
                {side === 0 ? "From" : "to"}
                <input
                  type="number"
                  min={0}
                  max={seconds}
                  step={0.01}
                  value={range[side]}
                  aria-label={`Range ${at + 1} ${side === 0 ? "start" : "end"} in seconds`}
                  onChange={(event) => edit(at, side, event.target.value)}
                />
              </label>
            ))}
            <span className="muted">s</span>
            <button type="button" className="quiet" aria-label={`Remove range ${at + 1}`} onClick={() => changed(ranges.filter((_, index) => index !== at))}>
              Remove
            </button>
          </li>
        ))}
      </ul>
      <button type="button" onClick={add}>
        Add a range
      </button>
    </fieldset>
  );
}
