/** Says in a few words what a frame does, for somebody who sees the protocol for the first time. Pure. */
import type { ClientFrame, ErrorBody, Hint, Reply, ServerFrame, Topic } from "../client/frames.ts";
import type { Direction } from "../client/link.ts";

export type Kind = "session" | "hint" | "pull" | "act" | "signal" | "beat" | "error";

export interface Call {
  method: string;
  params: Record<string, unknown>;
}

export interface Described {
  kind: Kind;
  label: string;
  phrase: string;
}

type Frame = ClientFrame | ServerFrame;

const PULLS = new Set(["topics.changes", "conversations.list", "conversations.get", "messages.list", "status.get"]);
/** Not a fault: an older server says so, and the page does without. */
const NOT_OFFERED = new Set(["unsupported", "unknown_method", "unknown_type"]);

/** `call` is what a reply answers, where it is known. */
export function describe(direction: Direction, frame: Frame, call: Call | undefined): Described {
  switch (frame.type) {
    case "hello":
      return { kind: "session", label: "hello", phrase: "here I am" };
    case "token":
      return { kind: "session", label: "token", phrase: "a fresh one, before the old expires" };
    case "welcome":
      return { kind: "session", label: "welcome", phrase: `registered as ${frame.user}` };
    case "goaway":
      return { kind: "session", label: "goaway", phrase: `${frame.reason}; come back in ${seconds(frame.reconnect_after_ms)}` };
    case "hint":
      return { kind: "hint", label: "hint", phrase: hintPhrase(frame) };
    case "subscribe":
      return { kind: "session", label: "subscribe", phrase: `tell me of ${topicsIn(Object.keys(frame.topics))}, too` };
    case "unsubscribe":
      return { kind: "session", label: "unsubscribe", phrase: `no more of ${topicsIn(frame.topics)}` };
    case "signal":
      return { kind: "signal", label: "signal", phrase: signalPhrase(direction, frame) };
    case "call":
      return { kind: kindOf(frame.method), label: frame.method, phrase: callPhrase(frame.method, frame.params as Call["params"]) };
    case "reply":
      return replied(frame, call);
    case "ping":
      return { kind: "beat", label: "ping", phrase: "still there?" };
    case "pong":
      return { kind: "beat", label: "pong", phrase: "still here" };
    case "error":
      return refused("error", frame);
    default:
      return { kind: "session", label: String((frame as { type: string }).type), phrase: direction };
  }
}

function kindOf(method: string): Kind {
  if (method === "subscribe" || method === "unsubscribe") return "session";
  return PULLS.has(method) ? "pull" : "act";
}

function hintPhrase(hint: Hint): string {
  const topics = Object.entries(hint.topics);
  const [first] = topics;
  const wait = hint.pull_after_ms ? `; pull in ${seconds(hint.pull_after_ms)}` : "";
  if (hint.resync === true) return `anything may have changed${wait}`;
  if (first === undefined) return `there is more${wait}`;
  if (topics.length === 1) return `${shortTopic(first[0])} has reached ${first[1]}${wait}`;
  return `${topics.length} topics have moved${wait}`;
}

const ASKED: Record<string, string> = {
  "conversations.list": "which conversations do I have?",
  "conversations.get": "how is this conversation?",
  "conversations.create": "start a conversation",
  "conversations.update": "change how it is called or kept",
  "messages.send": "append this message",
};

function callPhrase(method: string, params: Call["params"]): string {
  switch (method) {
    case "topics.changes":
      return params.cursor === undefined ? "what is there?" : "what changed since my cursor?";
    case "messages.list":
      return params.after === undefined ? `messages before ${params.before}?` : `messages after ${params.after}?`;
    case "messages.edit":
      return `append: ${params.of} reads otherwise now`;
    case "messages.delete":
      return `append: ${params.of} is gone`;
    case "conversations.mark_read":
      return `read up to ${params.version}`;
    case "members.add":
      return `let ${namesIn(params.users)} in`;
    case "members.remove":
      return `${namesIn(params.users)} leaves`;
    case "status.get":
      return `how is ${namesIn(params.users)}?`;
    case "status.set":
      return `I am ${params.state}`;
    default:
      return ASKED[method] ?? "";
  }
}

function signalPhrase(direction: Direction, frame: { from?: string; data: unknown }): string {
  const typing = (frame.data as { typing?: unknown } | null)?.typing === true ? "typing" : "something that passes";
  return direction === "sent" ? `I am ${typing}` : `${frame.from}: ${typing}`;
}

function replied(reply: Reply, call: Call | undefined): Described {
  const method = call?.method ?? "reply";
  if (reply.error != null) {
    return refused(`${method} ✗`, reply.error);
  }
  const result = (reply.result ?? {}) as Record<string, unknown>;
  return { kind: kindOf(method), label: `${method} ✓`, phrase: resultPhrase(method, result) };
}

function refused(label: string, error: ErrorBody): Described {
  if (NOT_OFFERED.has(error.code)) return { kind: "beat", label, phrase: "not offered by this server" };
  return { kind: "error", label, phrase: `${error.code}: ${error.message}` };
}

function resultPhrase(method: string, result: Record<string, unknown>): string {
  const more = result.more === true ? ", and more" : "";
  switch (method) {
    case "topics.changes":
      return changed(Object.keys(result.topics ?? {}).length) + more;
    case "conversations.list":
      return count(lengthOf(result.conversations), "conversation");
    case "conversations.get":
      return `at version ${result.version}, ${result.unread} unread`;
    case "messages.list":
      return count(lengthOf(result.messages), "message") + more;
    case "messages.send":
    case "messages.edit":
    case "messages.delete":
      return `stored as version ${result.version}`;
    case "members.add":
    case "members.remove":
      return `${count(Number(result.members), "member")} now`;
    case "status.get":
      return Object.entries(result).map(([user, status]) => `${user} ${(status as { state?: string }).state}`).join(", ");
    case "subscribe":
      return `following ${topicsIn(Object.keys((result.topics as object | undefined) ?? {}))}`;
    case "conversations.mark_read":
      return `read mark at ${result.read}`;
    default:
      return "done";
  }
}

function changed(topics: number): string {
  return topics === 0 ? "nothing has changed" : `${count(topics, "topic")} changed`;
}

/** `conversation …7QX` is enough to recognise a topic by. */
export function shortTopic(topic: Topic): string {
  if (topic.length <= 24) return topic;
  const colon = topic.indexOf(":");
  return `${colon > 0 ? `${topic.slice(0, colon)} ` : ""}…${topic.slice(-4)}`;
}

function topicsIn(topics: Topic[]): string {
  const [first] = topics;
  return topics.length === 1 && first !== undefined ? shortTopic(first) : `${topics.length} topics`;
}

function namesIn(users: unknown): string {
  const names = Array.isArray(users) ? (users as string[]) : [];
  return names.length > 3 ? `${names.length} people` : names.join(", ");
}

function seconds(ms: number): string {
  return `${(ms / 1000).toFixed(1)} s`;
}

function count(n: number, noun: string): string {
  return n === 1 ? `1 ${noun}` : `${n} ${noun}s`;
}

function lengthOf(list: unknown): number {
  return Array.isArray(list) ? list.length : 0;
}
