// Two videos as one: started, stopped and stepped together, and held together while they play.
//
// The one that is heard leads and runs at its own pace; the silent one is pulled after it by a slightly other pace, or
// by a seek where that would take too long. Times are those of the axis. What is seen meanwhile: `shown`.
import type { FrameClock } from "./clock";
import type { Shown } from "./shown";
import type { Track } from "./track";

const HOLD_EVERY_MS = 30;
const PULL_SECONDS = 0.1; // a difference is made good within about this time …
const PULL_LOOKS = 3; // … but over so many looks: a busy browser looks late, and would pull too far
const LATE_FADES = 0.8; // per look
const MOST_FASTER = 0.9; // than the pace: nobody hears the one that is pulled
const SLOWEST = 0.1; // browsers refuse less than a sixteenth
const SEEK_BEYOND_SECONDS = 0.5;
const PULL_BEYOND_SECONDS = 0.008; // each change of pace may itself cost a few milliseconds: not for less
const CLOSE_ENOUGH_SECONDS = 0.002;
const WAIT_BEYOND_FRAMES = 3; // pictures are kept for a little more than that
const TOGETHER_FRAMES = 1;

export class Pair {
  private holding: ReturnType<typeof setInterval> | undefined;
  private pace = 1;
  private wanted = false;
  private seeking = 0;
  private looked = 0; // when, in seconds
  private late = 0; // how far looks have lain apart of late, in seconds
  loop: [number, number] | null = null;

  constructor(
    private lead: Track,
    private other: Track,
    private clock: FrameClock,
    private shown: Shown,
    private told: () => void,
  ) {
    this.hear(lead.video);
  }

  private get both(): Track[] {
    return [this.lead, this.other];
  }

  private get videos(): HTMLVideoElement[] {
    return this.both.map((track) => track.video);
  }

  get playing(): boolean {
    return this.wanted;
  }

  get seconds(): number {
    return this.lead.seconds;
  }

  get frame(): number {
    return this.clock.at(this.seconds);
  }

  // Seconds by which the other one is ahead.
  get apart(): number {
    return this.other.seconds - this.lead.seconds;
  }

  hear(video: HTMLVideoElement): void {
    if (video !== this.lead.video) [this.lead, this.other] = [this.other, this.lead];
    this.lead.video.muted = false;
    this.other.video.muted = true;
    this.lead.video.playbackRate = this.pace;
    this.told();
  }

  setPace(pace: number): void {
    this.pace = pace;
    this.videos.forEach((video) => (video.playbackRate = pace));
  }

  async play(): Promise<void> {
    this.wanted = true;
    const end = this.loop?.[1] ?? this.clock.seconds;
    if (this.seconds >= end - 0.5 / this.clock.perSecond) await this.seek(this.loop?.[0] ?? 0);
    else await this.seek(this.seconds);
    if (!this.wanted) return;
    await Promise.all(this.videos.map((video) => video.play().catch(() => undefined)));
    clearInterval(this.holding);
    this.looked = performance.now() / 1000;
    this.holding = setInterval(() => this.hold(), HOLD_EVERY_MS);
    this.told();
  }

  pause(at = this.shown.frame): void {
    this.wanted = false;
    clearInterval(this.holding);
    this.videos.forEach((video) => video.pause());
    this.other.video.playbackRate = this.pace;
    void this.toFrame(at);
  }

  toggle(): void {
    if (this.wanted) this.pause();
    else void this.play();
  }

  async step(frames: number): Promise<void> {
    const from = this.wanted ? this.shown.frame : this.frame;
    if (this.wanted) this.pause();
    await this.toFrame(from + frames);
  }

  async toFrame(frame: number): Promise<void> {
    await this.seek(this.clock.middle(Math.min(Math.max(frame, 0), this.clock.frames - 1)));
  }

  async seek(seconds: number): Promise<void> {
    const to = Math.min(Math.max(seconds, 0), Math.max(0, this.clock.seconds - 0.001));
    this.seeking += 1;
    await Promise.all(this.both.map((track) => track.seek(to)));
    this.seeking -= 1;
    this.told();
  }

  end(): void {
    this.wanted = false;
    clearInterval(this.holding);
    this.videos.forEach((video) => video.pause());
  }

  private hold(): void {
    const now = performance.now() / 1000;
    this.late = Math.max(now - this.looked, LATE_FADES * this.late);
    this.looked = now;
    if (!this.wanted || this.seeking > 0) return;
    if (this.loop && this.seconds >= this.loop[1]) {
      void this.seek(this.loop[0]);
      return;
    }
    if (this.over) {
      if (this.loop) void this.play();
      else this.pause(this.clock.frames - 1);
      return;
    }
    if (this.lead.wantsAgain) void this.lead.seek(this.lead.nextTurn);
    if (this.other.wantsAgain) void this.other.seek(Math.max(this.other.nextTurn, this.seconds));
    this.waitForBoth();
    this.pull(this.other.video);
  }

  private get over(): boolean {
    const ended = this.lead.video.ended && !this.lead.wantsAgain;
    return ended || this.seconds >= this.clock.seconds - 0.2 / this.clock.perSecond;
  }

  private pull(video: HTMLVideoElement): void {
    const apart = this.apart;
    if (video.seeking) return;
    if (Math.abs(apart) > SEEK_BEYOND_SECONDS) {
      void this.other.seek(this.seconds);
    } else if (Math.abs(apart) < (video.playbackRate === this.pace ? PULL_BEYOND_SECONDS : CLOSE_ENOUGH_SECONDS)) {
      video.playbackRate = this.pace;
    } else {
      const wanted = this.pace - apart / Math.max(PULL_SECONDS, PULL_LOOKS * this.late);
      video.playbackRate = Math.min(Math.max(wanted, SLOWEST), this.pace + MOST_FASTER);
    }
  }

  // One that has to load more makes the other one wait, and so does one whose pictures come late: a busy machine drops
  // them while the clock goes on. The sound does not wait for a silent one that is being put right.
  private waitForBoth(): void {
    const lacks = (video: HTMLVideoElement) => video.readyState < HTMLMediaElement.HAVE_FUTURE_DATA && !video.ended;
    const loading = lacks(this.lead.video) || (lacks(this.other.video) && !this.other.video.seeking);
    for (const { video } of this.both) {
      const wait = loading || this.shown.ahead(video) > (video.paused ? TOGETHER_FRAMES : WAIT_BEYOND_FRAMES);
      if (wait && !video.paused) video.pause();
      else if (!wait && video.paused && !video.ended) void video.play().catch(() => undefined);
    }
  }
}
