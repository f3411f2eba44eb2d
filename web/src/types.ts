// What the API answers, as far as this page reads it.
export type JobStatus = "not_started" | "pending" | "running" | "finished" | "failed" | "cancelled" | "skipped";

export type Shot = {
  shot_id: number;
  label: string;
  project_id: number;
  project_name: string;
  shot_status: "not_started" | "pending" | "running" | "finished" | "failed";
  ai_training_status: "not_started" | "running" | "finished" | "failed";
  failure_reason: string | null;
  stage: string | null;
  progress: number;
  eta_seconds: number | null;
  frame_count: number | null;
  frame_rate: [number, number];
  constant_rate: boolean;
  duration_seconds: number | null;
  size_bytes: number | null;
  created_at: string;
  takes: number;
  thumbnail_url: string | null;
};

export type Actor = { actor_id: number; actor_name: string; thumbnail_url: string | null };

export type Voice = { actor_id: number | null; audio_id: string; ranges: [number, number][] | null };

export type Take = {
  generate_id: number;
  shot_id: number;
  shot_label?: string;
  status: JobStatus;
  progress: number;
  stage: string | null;
  eta_seconds: number | null;
  options: {
    voices: Voice[];
    language: string | null;
    maintain_expression: boolean;
    start_frame: number;
    full_resolution: boolean;
    loop_video: boolean;
    strength?: number;
  };
  output_filename: string;
  warnings: string[];
  failure_reason: string | null;
  created_at: string;
  started_at: string | null;
  ended_at: string | null;
};

export type Audio = { audio_id: string; file_name: string; upload_status: string; created_at: string };

export type Project = { project_id: number; project_name: string; created_at: string; project_identity_type: string };

export type FrameTimes = { first: number; each: number } | { all: number[] };

export type Mouths = { face: number; at: [number, number, number, number][] };

export type Preview =
  | { state: "waiting" | "off" }
  | { state: "failed"; failure_reason: string }
  | { state: "ready"; url: string; width: number; height: number; frames: number; frame_times: FrameTimes; mouths: Mouths[] };

export type Curves = {
  seconds_each: number;
  actors: { face: number; source: (number | null)[]; dub: (number | null)[] }[];
};

export type TakeMedia = { dub: Preview; source: Preview; curves: Curves | null };

export type Peaks = { peaks: number[]; seconds_each: number; duration_seconds: number };

export type Quality = {
  judged: "waiting" | "done" | "off" | "failed";
  sync_offset_ms: number | null;
  sync_confidence: number | null;
  identity_similarity?: number | null;
  untouched_max_diff: number | null;
  same_file?: boolean;
  frames_total: number;
  frames_dubbed: number;
  frames_without_face: number;
  differences?: string[];
  warnings: string[];
};

export type Standing = { status: string; progress: number; stage: string | null; eta_seconds: number | null };

export const ENDS: string[] = ["finished", "failed", "cancelled", "skipped"];

export function ready(shot: Shot): boolean {
  return shot.shot_status === "finished" && shot.ai_training_status === "finished";
}

export function failed(shot: Shot): boolean {
  return shot.shot_status === "failed" || shot.ai_training_status === "failed";
}
