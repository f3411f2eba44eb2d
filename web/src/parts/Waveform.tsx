// A sound as wavesurfer.js draws it from peaks that the server made; ranges can be drawn and moved on it.
import { useEffect, useRef } from "react";
import WaveSurfer from "wavesurfer.js";
import RegionsPlugin from "wavesurfer.js/plugins/regions";
import { useSignal } from "../signal";
import { theme } from "../theme";
import type { Peaks } from "../types";

export type Range = [start: number, end: number];

type Props = {
  peaks: Peaks;
  seconds: number; // of the whole axis; a shorter sound ends before it
  ranges: Range[];
  changed?: (ranges: Range[]) => void; // none: not to be changed
  single?: boolean; // drawing a range replaces the one before
  sought?: (seconds: number) => void;
  label: string;
  height?: number;
};

const nonce = document.querySelector<HTMLMetaElement>('meta[name="csp-nonce"]')?.content;
const SHORTEST = 0.08; // seconds

export function Waveform({ peaks, seconds, ranges, changed, single = false, sought, label, height = 72 }: Props) {
  const place = useRef<HTMLDivElement>(null);
  const regions = useRef<ReturnType<typeof RegionsPlugin.create> | null>(null);
  const tell = useRef({ changed, sought, single });
  tell.current = { changed, sought, single };
  const drawn = useRef<string>("");
  const editable = changed !== undefined;
  const colours = useSignal(theme);

  useEffect(() => {
    const style = getComputedStyle(place.current!);
    const colour = (name: string) => style.getPropertyValue(name).trim();
    const plugin = RegionsPlugin.create();
    const surfer = WaveSurfer.create({
      container: place.current!,
      height,
      peaks: [filled(peaks, seconds)],
      duration: seconds,
      waveColor: colour("--wave"),
      progressColor: colour("--wave"),
      cursorWidth: 0,
      normalize: true,
      hideScrollbar: true,
      interact: true,
      cspNonce: nonce,
      plugins: [plugin],
    });
    regions.current = plugin;
    drawn.current = "";
    const report = () => {
      const all = plugin.getRegions().map((region): Range => [round(region.start), round(region.end)]);
      all.sort((a, b) => a[0] - b[0]);
      drawn.current = JSON.stringify(all);
      tell.current.changed?.(all);
    };
    surfer.on("interaction", (at: number) => tell.current.sought?.(at));
    if (editable) plugin.enableDragSelection({ color: colour("--range") });
    plugin.on("region-created", (region) => {
      if (!editable || drawn.current === "drawing") return;
      if (region.end - region.start < SHORTEST) {
        region.remove();
        return;
      }
      if (tell.current.single) plugin.getRegions().filter((other) => other !== region).forEach((other) => other.remove());
      report();
    });
    plugin.on("region-updated", report);
    return () => {
      regions.current = null;
      surfer.destroy();
    };
  }, [peaks, seconds, height, editable, colours]);

  useEffect(() => {
    const plugin = regions.current;
    const wanted = JSON.stringify(ranges);
    if (!plugin || wanted === drawn.current) return;
    drawn.current = "drawing";
    plugin.clearRegions();
    const color = getComputedStyle(place.current!).getPropertyValue("--range").trim();
    for (const [start, end] of ranges) plugin.addRegion({ start, end, color, drag: editable, resize: editable });
    drawn.current = wanted;
  }, [ranges, peaks, seconds, height, editable, colours]);

  return <div ref={place} className="wave" role="img" aria-label={label} />;
}

// The sound of something that begins anew every so many seconds.
export function repeated(peaks: Peaks, everySeconds: number, seconds: number): Peaks {
  const each = peaks.seconds_each;
  const at = (place: number) => peaks.peaks[Math.floor(((place * each) % everySeconds) / each)] ?? 0;
  return { ...peaks, peaks: Array.from({ length: Math.ceil(seconds / each) }, (_, place) => at(place)), duration_seconds: seconds };
}

function filled(peaks: Peaks, seconds: number): number[] {
  const count = Math.max(1, Math.ceil(seconds / peaks.seconds_each));
  return Array.from({ length: count }, (_, at) => peaks.peaks[at] ?? 0);
}

function round(seconds: number): number {
  return Math.round(1000 * seconds) / 1000;
}
