// Two videos as one: started, stopped and stepped together, and held together while they play.
//
// The one that is heard leads and runs at its own pace; the silent one is pulled after it by a slightly other pace, or
// by a seek where that would take too long.
import type { FrameClock } from "./clock";

const HOLD_EVERY_MS = 30;
const PULL_SECONDS = 0.1; // a difference is made good within about this time
const MOST_FASTER = 0.9; // than the pace: nobody hears the one that is pulled
const SLOWEST = 0.1; // browsers refuse less than a sixteenth
const SEEK_BEYOND_SECONDS = 0.5;
const PULL_BEYOND_SECONDS = 0.008; // each change of pace may itself cost a few milliseconds: not for less
const CLOSE_ENOUGH_SECONDS = 0.002;

export class Pair {
  private holding: ReturnType<typeof setInterval> | undefined;
  private pace = 1;
  private wanted = false;
  private seeking = 0;
  loop: [number, number] | null = null;

  constructor(
    private lead: HTMLVideoElement,
    private other: HTMLVideoElement,
    private clock: FrameClock,
    private told: () => void,
  ) {
    this.hear(lead);
  }

  private get both(): HTMLVideoElement[] {
    return [this.lead, this.other];
  }

  get playing(): boolean {
    return this.wanted;
  }

  get seconds(): number {
    return this.lead.currentTime;
  }

  get frame(): number {
    return this.clock.at(this.seconds);
  }

  // Seconds by which the other one is ahead.
  get apart(): number {
    return this.other.currentTime - this.lead.currentTime;
  }

  hear(video: HTMLVideoElement): void {
    if (video !== this.lead) [this.lead, this.other] = [this.other, this.lead];
    this.lead.muted = false;
    this.other.muted = true;
    this.lead.playbackRate = this.pace;
    this.told();
  }

  setPace(pace: number): void {
    this.pace = pace;
    this.both.forEach((video) => (video.playbackRate = pace));
  }

  async play(): Promise<void> {
    this.wanted = true;
    const end = this.loop?.[1] ?? this.clock.seconds;
    if (this.seconds >= end - 0.5 / this.clock.perSecond) await this.seek(this.loop?.[0] ?? 0);
    else await this.seek(this.seconds);
    if (!this.wanted) return;
    await Promise.all(this.both.map((video) => video.play().catch(() => undefined)));
    clearInterval(this.holding);
    this.holding = setInterval(() => this.hold(), HOLD_EVERY_MS);
    this.told();
  }

  pause(): void {
    this.wanted = false;
    clearInterval(this.holding);
    this.both.forEach((video) => video.pause());
    this.other.playbackRate = this.pace;
    void this.toFrame(this.frame);
  }

  toggle(): void {
    if (this.wanted) this.pause();
    else void this.play();
  }

  async step(frames: number): Promise<void> {
    if (this.wanted) this.pause();
    await this.toFrame(this.frame + frames);
  }

  async toFrame(frame: number): Promise<void> {
    await this.seek(this.clock.middle(Math.min(Math.max(frame, 0), this.clock.frames - 1)));
  }

  async seek(seconds: number): Promise<void> {
    const to = Math.min(Math.max(seconds, 0), Math.max(0, this.clock.seconds - 0.001));
    this.seeking += 1;
    await Promise.all(this.both.map((video) => arrived(video, to)));
    this.seeking -= 1;
    this.told();
  }

  end(): void {
    this.wanted = false;
    clearInterval(this.holding);
    this.both.forEach((video) => video.pause());
  }

  private hold(): void {
    if (!this.wanted || this.seeking > 0) return;
    if (this.loop && this.seconds >= this.loop[1]) {
      void this.seek(this.loop[0]);
      return;
    }
    if (this.lead.ended || this.seconds >= this.clock.seconds - 0.2 / this.clock.perSecond) {
      if (this.loop) void this.play();
      else this.pause();
      return;
    }
    this.waitForBoth();
    const apart = this.apart;
    if (Math.abs(apart) > SEEK_BEYOND_SECONDS) {
      this.other.currentTime = this.lead.currentTime;
    } else if (Math.abs(apart) < (this.other.playbackRate === this.pace ? PULL_BEYOND_SECONDS : CLOSE_ENOUGH_SECONDS)) {
      this.other.playbackRate = this.pace;
    } else {
      const wanted = this.pace - apart / PULL_SECONDS;
      this.other.playbackRate = Math.min(Math.max(wanted, SLOWEST), this.pace + MOST_FASTER);
    }
  }

  // One that has to load more makes the other one wait.
  private waitForBoth(): void {
    const loading = this.both.some((video) => video.readyState < HTMLMediaElement.HAVE_FUTURE_DATA && !video.ended);
    for (const video of this.both) {
      if (loading && !video.paused) video.pause();
      else if (!loading && video.paused && !video.ended) void video.play().catch(() => undefined);
    }
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
