/** The frames of `doorbell.v1.json` that this client sends and understands (docs/protocol.md). */

export type Topic = string;
export type Version = number;
export type Topics = Readonly<Record<Topic, Version>>;

export const SUBPROTOCOL = "doorbell.v1.json";

export interface ErrorBody {
  code: string;
  message: string;
  retry_after_ms?: number;
  details?: unknown;
}

export type ClientFrame =
  | { type: "hello"; token: string; device?: string; client?: string }
  | { type: "token"; token: string }
  | { type: "call"; id: number; method: string; params: object }
  | { type: "subscribe"; id: number; topics: Topics }
  | { type: "unsubscribe"; id: number; topics: Topic[] }
  | { type: "signal"; topic: Topic; data: object }
  | { type: "ping" };

export interface Limits {
  frame_bytes: number;
  /** Most topics that one session follows by `subscribe`; 0 where the server does not offer it. */
  subscriptions: number;
  calls_per_second: number;
}

export interface Welcome {
  type: "welcome";
  session: string;
  user: string;
  server_time_ms: number;
  heartbeat_ms: number;
  limits?: Limits;
}

export interface Hint {
  type: "hint";
  topics: Topics;
  pull_after_ms?: number;
  more?: boolean;
  resync?: boolean;
}

export interface Reply {
  type: "reply";
  id: number | string;
  result?: unknown;
  error?: ErrorBody | null;
}

export interface Goaway {
  type: "goaway";
  reason: string;
  reconnect_after_ms: number;
  deadline_ms: number;
  url?: string;
}

export interface ErrorFrame extends ErrorBody {
  type: "error";
}

/** What another member's client said to those who are online: not stored, and not repeated. */
export interface Signal {
  type: "signal";
  topic: Topic;
  from: string;
  data: unknown;
}

export type ServerFrame = Welcome | Hint | Reply | Goaway | ErrorFrame | Signal | { type: "pong" };

/** The result of `topics.changes`. */
export interface Changes {
  topics: Topics;
  cursor: string;
  more: boolean;
  reset?: boolean;
  /** Topics that are no longer the user's. */
  gone?: Topic[];
}

/** Reads one text frame; `null` for what is no frame. A type that we do not know is left to the caller to ignore. */
export function parseFrame(text: string): ServerFrame | null {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    return null;
  }
  if (typeof value !== "object" || value === null || Array.isArray(value)) return null;
  return typeof (value as { type?: unknown }).type === "string" ? (value as ServerFrame) : null;
}
