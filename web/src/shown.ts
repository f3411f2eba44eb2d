// What is seen of two videos: never the one without the other. Browsers show a frame as soon as it is decoded, and a busy
// machine decodes one of the videos late; so what each of them shows is kept for a moment, and both canvases are painted
// at once with the newest two frames that belong together.
import type { Track } from "./track";

const MOST_KEPT = 6; // of the video that is ahead; a decoder has not many more to give
const MOST_APART = 1; // frames

export type Lens = { left: number; top: number; share: number }; // of the picture, each in [0, 1]

type Kept = { frame: number; picture: VideoFrame | OffscreenCanvas };

export class Shown {
  frame = 0;
  private pair: [Kept, Kept] | null = null;
  private lensAt: (frame: number) => Lens | null = () => null;
  private sizes = new ResizeObserver(() => this.paint());

  constructor(
    private reels: [Reel, Reel],
    private told: (frame: number) => void,
  ) {
    for (const reel of reels) {
      reel.watch(() => this.pairUp());
      this.sizes.observe(reel.canvas);
    }
  }

  look(lensAt: (frame: number) => Lens | null): void {
    this.lensAt = lensAt;
    this.paint();
  }

  // Frames by which the pictures of this video have come further than those of the other.
  ahead(video: HTMLVideoElement): number {
    const [one, other] = this.reels;
    return (one.reached - other.reached) * (one.track.video === video ? 1 : -1);
  }

  end(): void {
    this.sizes.disconnect();
    this.reels.forEach((reel) => reel.end());
  }

  private pairUp(): void {
    const [one, other] = this.reels;
    let best = this.pair;
    let worth = -1;
    for (const first of one.kept) {
      for (const second of other.kept) {
        const apart = Math.abs(first.frame - second.frame);
        const is = Math.min(first.frame, second.frame) + (apart === 0 ? 0.5 : 0);
        if (apart <= MOST_APART && is > worth) [best, worth] = [[first, second], is];
      }
    }
    if (best && (best[0] !== this.pair?.[0] || best[1] !== this.pair[1])) {
      this.pair = best;
      this.frame = best[0].frame;
      this.paint();
      this.told(this.frame);
    }
    const reached = Math.min(one.reached, other.reached) - MOST_APART;
    this.reels.forEach((reel, at) => reel.forget(reached, this.pair?.[at as 0 | 1]));
  }

  private paint(): void {
    const { pair, frame } = this;
    if (pair) this.reels.forEach((reel, at) => reel.paint(pair[at as 0 | 1], this.lensAt(frame)));
  }
}

export class Reel {
  kept: Kept[] = []; // oldest first
  private awaited = 0;

  constructor(
    readonly track: Track,
    readonly canvas: HTMLCanvasElement,
  ) {}

  get reached(): number {
    return this.kept.at(-1)?.frame ?? 0;
  }

  watch(came: () => void): void {
    const video = this.track.video;
    const next = (_now: number, facts: VideoFrameCallbackMetadata) => {
      this.awaited = video.requestVideoFrameCallback(next);
      if (this.keep(facts.mediaTime)) came();
    };
    this.awaited = video.requestVideoFrameCallback(next);
  }

  end(): void {
    this.track.video.cancelVideoFrameCallback(this.awaited);
    this.drop(() => true);
  }

  // Lets go of what is older than `frame` or too much, but for what is shown.
  forget(frame: number, shown: Kept | undefined): void {
    const newest = this.kept.slice(-MOST_KEPT);
    this.drop((one) => one !== shown && (one.frame < frame || !newest.includes(one)));
  }

  paint({ picture }: Kept, lens: Lens | null): void {
    const { clientWidth, clientHeight } = this.canvas;
    const [width, height] = [clientWidth, clientHeight].map((side) => Math.round(side * devicePixelRatio)) as [number, number];
    if (this.canvas.width !== width) this.canvas.width = width;
    if (this.canvas.height !== height) this.canvas.height = height;
    const { left, top, share } = lens ?? { left: 0, top: 0, share: 1 };
    const [wide, high] = [width / share, height / share];
    this.canvas.getContext("2d", { alpha: false })!.drawImage(picture, -left * wide, -top * high, wide, high);
  }

  // Keeps what the video shows; whether it is another frame than before.
  private keep(seconds: number): boolean {
    const { video } = this.track;
    const picture = pictureOf(video);
    const frame = this.track.frameOf(picture instanceof OffscreenCanvas ? seconds : picture.timestamp / 1e6);
    const kept = { frame, picture };
    if (frame === this.kept.at(-1)?.frame) {
      close(kept);
      return false;
    }
    if (frame < this.reached) this.drop(() => true); // somebody went back
    this.kept.push(kept);
    return true;
  }

  private drop(which: (one: Kept) => boolean): void {
    this.kept.filter(which).forEach(close);
    this.kept = this.kept.filter((one) => !which(one));
  }
}

// A frame as it is, with its time; where a browser has none that knows how it is turned, a copy.
function pictureOf(video: HTMLVideoElement): VideoFrame | OffscreenCanvas {
  if (typeof VideoFrame !== "undefined" && "rotation" in VideoFrame.prototype) return new VideoFrame(video);
  const copy = new OffscreenCanvas(video.videoWidth, video.videoHeight);
  copy.getContext("2d", { alpha: false })!.drawImage(video, 0, 0);
  return copy;
}

function close({ picture }: Kept): void {
  if (!(picture instanceof OffscreenCanvas)) picture.close();
}
