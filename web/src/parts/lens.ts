// A close look at a mouth: the part of a picture that keeps it in the middle.
import type { Lens } from "../shown";
import type { Mouths } from "../types";

const FACE_WIDTHS_SHOWN = 0.9;
const LEAST = 1.5;
const MOST = 10;

export function closeUp(mouths: Mouths, seconds: number): Lens | null {
  const at = mouths.at;
  if (!at.length) return null;
  const widths = at.map((row) => row[3]).sort((a, b) => a - b);
  const usual = widths[widths.length >> 1]!;
  const scale = Math.min(MOST, Math.max(LEAST, 1 / (FACE_WIDTHS_SHOWN * usual)));
  const [x, y] = between(at, seconds);
  const share = 1 / scale;
  const edge = (middle: number) => Math.min(Math.max(middle - share / 2, 0), 1 - share);
  return { left: edge(x), top: edge(y), share };
}

function between(at: Mouths["at"], seconds: number): [number, number] {
  const next = at.findIndex((row) => row[0] > seconds);
  const after = at[next === -1 ? at.length - 1 : next]!;
  const before = at[next === -1 ? at.length - 1 : Math.max(0, next - 1)]!;
  const span = after[0] - before[0];
  const share = span > 0 ? Math.min(1, Math.max(0, (seconds - before[0]) / span)) : 0;
  return [before[1] + share * (after[1] - before[1]), before[2] + share * (after[2] - before[2])];
}
