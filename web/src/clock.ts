// Frames and seconds of one preview. A seek aims at a frame's middle, so that rounding never shows its neighbour.
import type { FrameTimes } from "./types";

export class FrameClock {
  constructor(
    private times: FrameTimes,
    readonly frames: number,
  ) {}

  get perSecond(): number {
    if ("each" in this.times) return 1 / this.times.each;
    const all = this.times.all;
    return all.length > 1 ? (all.length - 1) / (all[all.length - 1]! - all[0]!) : 25;
  }

  get seconds(): number {
    return this.start(this.frames - 1) + 1 / this.perSecond;
  }

  start(frame: number): number {
    return "each" in this.times ? this.times.first + frame * this.times.each : (this.times.all[frame] ?? 0);
  }

  middle(frame: number): number {
    const end = frame + 1 < this.frames ? this.start(frame + 1) : this.start(frame) + 1 / this.perSecond;
    return (this.start(frame) + end) / 2;
  }

  // The frame that is shown at a time.
  at(seconds: number): number {
    if ("each" in this.times) {
      const frame = Math.floor((seconds - this.times.first) / this.times.each + 0.01);
      return Math.min(Math.max(frame, 0), this.frames - 1);
    }
    let low = 0;
    let high = this.times.all.length - 1;
    while (low < high) {
      const middle = (low + high + 1) >> 1;
      if (this.times.all[middle]! <= seconds + 0.0005) low = middle;
      else high = middle - 1;
    }
    return low;
  }
}
