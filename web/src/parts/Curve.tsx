// How far a mouth is open over time, as filmed and as dubbed, on the axis of the waveform above it.
import { useMemo } from "react";
import type { Curves } from "../types";

const WIDTH = 1000;
const HEIGHT = 100;
const LEAST_TOP = 0.08; // face widths: a mouth that hardly opens is not to look as if it shouted

type Props = { actor: Curves["actors"][number]; name: string; share: number; sought: (share: number) => void };

export function Curve({ actor, name, share, sought }: Props) {
  const top = useMemo(() => Math.max(LEAST_TOP, ...[...actor.source, ...actor.dub].map((value) => value ?? 0)), [actor]);
  const [source, dub] = useMemo(() => [line(actor.source, top, share), line(actor.dub, top, share)], [actor, top, share]);
  return (
    <figure className="curve">
      <figcaption className="small">
        {name ? `${name}: ` : ""}mouth opening <span className="key">source</span> <span className="key dub">dub</span>
      </figcaption>
      <svg
        viewBox={`0 0 ${WIDTH} ${HEIGHT}`}
        preserveAspectRatio="none"
        role="img"
        aria-label={`${name ? `${name}: ` : ""}mouth opening over time, source and dub`}
        onClick={(event) => {
          const box = event.currentTarget.getBoundingClientRect();
          sought((event.clientX - box.left) / box.width);
        }}
      >
        <path className="one" d={source} />
        <path className="other" d={dub} />
      </svg>
    </figure>
  );
}

function line(values: (number | null)[], top: number, share: number): string {
  let down = false;
  return values
    .map((value, at) => {
      if (value === null) {
        down = false;
        return "";
      }
      const x = (WIDTH * share * (at + 0.5)) / values.length;
      const y = HEIGHT * (1 - (0.94 * Math.max(value, 0)) / top) - 3;
      const command = `${down ? "L" : "M"}${x.toFixed(1)} ${y.toFixed(1)}`;
      down = true;
      return command;
    })
    .join("");
}
