// One video on the comparison's time axis, which is the dub's. A source that the dub repeats passes through it in turns.
import type { FrameClock } from "./clock";

export class Track {
  private turn = 0;

  constructor(
    readonly video: HTMLVideoElement,
    private clock: FrameClock, // the video's own
    private axis: FrameClock,
  ) {}

  get seconds(): number {
    return this.video.currentTime + this.offset(this.turn);
  }

  // It has shown all it has, and the axis goes on.
  get wantsAgain(): boolean {
    const left = this.clock.seconds - this.video.currentTime;
    return this.turn + 1 < this.axis.frames / this.clock.frames && (this.video.ended || left < 0.2 / this.clock.perSecond);
  }

  get nextTurn(): number {
    return this.axis.start((this.turn + 1) * this.clock.frames);
  }

  seek(seconds: number): Promise<void> {
    this.turn = Math.floor(this.axis.at(seconds) / this.clock.frames);
    return arrived(this.video, seconds - this.offset(this.turn));
  }

  // The frame of the axis that a picture of this video stands for: of all turns, the one it is nearest to.
  frameOf(videoSeconds: number): number {
    const frame = this.clock.at(videoSeconds);
    const turns = Math.round((this.axis.at(this.seconds) - frame) / this.clock.frames);
    return frame + Math.max(0, turns) * this.clock.frames;
  }

  private offset(turn: number): number {
    return this.axis.start(turn * this.clock.frames) - this.clock.start(0);
  }
}

function arrived(video: HTMLVideoElement, seconds: number): Promise<void> {
  const there = Math.min(seconds, Number.isFinite(video.duration) ? video.duration : seconds);
  if (Math.abs(video.currentTime - there) < 1e-4 && !video.seeking) return Promise.resolve();
  return new Promise((done) => {
    video.addEventListener("seeked", () => done(), { once: true });
    video.currentTime = there;
  });
}
