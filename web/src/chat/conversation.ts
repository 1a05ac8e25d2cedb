import type { Topic, Version } from "../client/frames.ts";
import type { Entry, Log } from "./log.ts";

/** An entry of `conversations.list`, or the answer of `conversations.get`. */
export interface Summary {
  conversation: string;
  topic: Topic;
  title?: string;
  version: Version;
  read: Version;
  unread: number;
  muted?: boolean;
  members?: string[];
  last?: Entry | null;
  updated_at_ms: number;
}

/** A message of this window that the server has not acknowledged yet. */
export interface Pending {
  key: string;
  text: string;
  writtenAtMs: number;
  /** The server's refusal, where it was final. */
  refused: string | null;
}

export interface Conversation {
  id: string;
  topic: Topic;
  title: string | null;
  members: string[];
  version: Version;
  read: Version;
  unread: number;
  muted: boolean;
  last: Entry | null;
  updatedAtMs: number;
  /** What this window has of the log; `null` until the conversation is opened. */
  log: Log | null;
  pending: Pending[];
}

/** Merges what the server says of a conversation into what this window knows; versions only grow. */
export function merged(known: Conversation | undefined, summary: Summary): Conversation {
  const fresh: Conversation = {
    id: summary.conversation,
    topic: summary.topic,
    title: summary.title ?? null,
    members: summary.members ?? known?.members ?? [],
    version: summary.version,
    read: summary.read,
    unread: summary.unread,
    muted: summary.muted ?? false,
    last: summary.last ?? null,
    updatedAtMs: summary.updated_at_ms,
    log: known?.log ?? null,
    pending: known?.pending ?? [],
  };
  if (known === undefined) return fresh;
  if (known.version > summary.version) {
    const { version, last, updatedAtMs } = known;
    Object.assign(fresh, { version, last, updatedAtMs });
    fresh.unread = known.unread;
  }
  // The user read further here than the server knew when it answered.
  if (known.read > summary.read) {
    fresh.read = known.read;
    fresh.unread = known.read >= fresh.version ? 0 : Math.min(known.unread, fresh.unread);
  }
  return fresh;
}

/** A conversation after new entries of its log arrived: the newest is its last, others' count as unread. */
export function advanced(known: Conversation, log: Log, me: string): Conversation {
  const from = Math.max(known.version, known.read);
  const fresh = log.entries.filter((entry) => entry.version > from);
  const unread = fresh.filter((entry) => entry.kind === "message" && entry.from !== me).length;
  const newest = log.entries.at(-1);
  const next = { ...known, log };
  if (newest === undefined || newest.version <= known.version) return next;
  return {
    ...next,
    version: newest.version,
    last: newest,
    updatedAtMs: newest.sent_at_ms,
    unread: known.unread + unread,
  };
}

/** A direct conversation is called after the other one. */
export function nameOf(conversation: Conversation, me: string): string {
  if (conversation.title !== null && conversation.title !== "") return conversation.title;
  const others = othersIn(conversation, me);
  return others.length > 0 ? others.join(", ") : "Only you";
}

export function othersIn(conversation: Conversation, me: string): string[] {
  return conversation.members.filter((member) => member !== me);
}

/** Most recent first. */
export function byRecency(conversations: Iterable<Conversation>): Conversation[] {
  return [...conversations].sort((a, b) => b.updatedAtMs - a.updatedAtMs || (a.id < b.id ? 1 : -1));
}

export function unreadTotal(conversations: Iterable<Conversation>): number {
  let total = 0;
  for (const conversation of conversations) if (!conversation.muted) total += conversation.unread;
  return total;
}
