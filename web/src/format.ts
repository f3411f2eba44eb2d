// Numbers and times as people read them.
export function bytes(count: number): string {
  const units = ["B", "kB", "MB", "GB", "TB"];
  let value = count;
  let unit = 0;
  while (value >= 999.5 && unit < units.length - 1) {
    value /= 1000;
    unit += 1;
  }
  return `${value >= 100 || unit === 0 ? value.toFixed(0) : value.toFixed(1)} ${units[unit]}`;
}

export function duration(seconds: number): string {
  if (seconds < 10) return `${seconds.toFixed(1)} s`;
  if (seconds < 90) return `${Math.round(seconds)} s`;
  const minutes = Math.round(seconds / 60);
  return minutes < 90 ? `${Math.floor(seconds / 60)} min ${Math.round(seconds % 60)} s` : `${(seconds / 3600).toFixed(1)} h`;
}

export function left(seconds: number | null): string {
  if (seconds === null) return "";
  if (seconds < 5) return "a few seconds left";
  if (seconds < 90) return `about ${Math.round(seconds / 5) * 5} s left`;
  return `about ${Math.round(seconds / 60)} min left`;
}

export function rate([numerator, denominator]: [number, number]): string {
  return `${Number((numerator / denominator).toFixed(3))} fps`;
}

export function moment(stamp: string): string {
  const then = new Date(stamp);
  const ago = (Date.now() - then.getTime()) / 1000;
  if (ago < 60) return "just now";
  if (ago < 3600) return `${Math.floor(ago / 60)} min ago`;
  const today = then.toDateString() === new Date().toDateString();
  return today
    ? then.toLocaleTimeString([], { hour: "2-digit", minute: "2-digit" })
    : then.toLocaleDateString([], { year: "numeric", month: "short", day: "numeric" });
}

// HH:MM:SS:FF of a frame, counted at the rounded rate (non-drop).
export function timecode(frame: number, framesPerSecond: number): string {
  const base = Math.max(1, Math.round(framesPerSecond));
  const two = (value: number) => String(Math.floor(value)).padStart(2, "0");
  const seconds = Math.floor(frame / base);
  return `${two(seconds / 3600)}:${two((seconds / 60) % 60)}:${two(seconds % 60)}:${two(frame % base)}`;
}

const STAGES: Record<string, string> = {
  prepare: "Watching the shot, finding actors",
  train: "Learning the actors",
  motion: "Listening to the voice",
  render: "Rendering the mouth",
  preview: "Making the preview size",
  check: "Measuring",
};

export function stageName(stage: string | null): string {
  return stage === null ? "" : (STAGES[stage] ?? stage);
}
