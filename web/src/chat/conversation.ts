import type { Topic, Version } from "../client/frames.ts";
import type { Entry, Summary } from "../client/methods.ts";
import { amended } from "./log.ts";
import type { Log } from "./log.ts";

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
  /** The user's own word for it. */
  label: string | null;
  /** Of a group, where the server says. */
  owner: string | null;
  /** The owner alone adds members and gives titles. */
  closed: boolean;
  /** As many as were read, in the order of their names. */
  members: string[];
  memberCount: number;
  /** Of a large one. */
  online: number | null;
  version: Version;
  read: Version;
  unread: number;
  muted: boolean;
  last: Entry | null;
  updatedAtMs: number;
  /** What this window has of the log; `null` until the conversation is opened. */
  log: Log | null;
  pending: Pending[];
  /** Messages whose new text, or whose end (`null`), is on its way to the server. */
  amending: ReadonlyMap<Version, string | null>;
}

/** Names of an untitled group before "and others". */
const NAMES_MAX = 4;

/** Merges what the server says of a conversation into what this window knows; versions only grow. */
export function merged(known: Conversation | undefined, summary: Summary): Conversation {
  const fresh: Conversation = {
    id: summary.conversation,
    topic: summary.topic,
    title: summary.title ?? null,
    label: summary.label ?? null,
    owner: summary.owner ?? null,
    closed: summary.closed ?? false,
    members: membersOf(known, summary),
    memberCount: summary.member_count ?? summary.members?.length ?? known?.memberCount ?? 0,
    online: summary.online ?? known?.online ?? null,
    version: summary.version,
    read: summary.read,
    unread: summary.unread,
    muted: summary.muted ?? false,
    last: summary.last ?? null,
    updatedAtMs: summary.updated_at_ms,
    log: known?.log ?? null,
    pending: known?.pending ?? [],
    amending: known?.amending ?? new Map(),
  };
  return known === undefined ? fresh : keptGrown(known, fresh);
}

/** A list names the first members only: that does not make those forgotten that were read before. */
function membersOf(known: Conversation | undefined, summary: Summary): string[] {
  const given = summary.members;
  if (given === undefined) return known?.members ?? [];
  const partial = summary.member_count !== undefined && given.length < summary.member_count;
  const same = known !== undefined && known.memberCount === summary.member_count;
  return partial && same && known.members.length > given.length ? known.members : given;
}

function keptGrown(known: Conversation, fresh: Conversation): Conversation {
  if (known.version > fresh.version) {
    const { version, last, updatedAtMs, unread, title } = known;
    Object.assign(fresh, { version, last, updatedAtMs, unread, title });
  }
  // The user read further here than the server knew when it answered.
  if (known.read > fresh.read) {
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
  const next = { ...known, log, last: lastOf(known, log) };
  if (newest === undefined || newest.version <= known.version) return next;
  const renamed = fresh.findLast((entry) => entry.kind === "rename");
  return {
    ...next,
    title: renamed?.text ?? known.title,
    version: newest.version,
    updatedAtMs: newest.sent_at_ms,
    unread: known.unread + unread,
  };
}

/** The last message as it reads now. */
function lastOf(known: Conversation, log: Log): Entry | null {
  const last = log.entries.findLast((entry) => entry.kind === "message") ?? known.last;
  return last === null ? null : amended(last, log.entries);
}

/** A direct conversation is called after the other one. */
export function nameOf(conversation: Conversation, me: string): string {
  if (conversation.title !== null && conversation.title !== "") return conversation.title;
  const others = othersIn(conversation, me);
  if (others.length === 0) return "Only you";
  const hidden = conversation.memberCount - 1 - NAMES_MAX;
  return hidden > 0 ? `${others.slice(0, NAMES_MAX).join(", ")} and ${hidden} more` : others.join(", ");
}

export function othersIn(conversation: Conversation, me: string): string[] {
  return conversation.members.filter((member) => member !== me);
}

/** A pair has neither title nor owner, and no third member. */
export function isGroup(conversation: Conversation, me: string): boolean {
  return conversation.title !== null || conversation.owner !== null || othersIn(conversation, me).length > 1;
}

/** Most recent first. */
export function byRecency(conversations: Iterable<Conversation>): Conversation[] {
  return [...conversations].sort((a, b) => b.updatedAtMs - a.updatedAtMs || (a.id < b.id ? 1 : -1));
}

/** What the window's title counts: not what the user wants no word of. */
export function unreadTotal(conversations: Iterable<Conversation>): number {
  let total = 0;
  for (const conversation of conversations) if (!conversation.muted) total += conversation.unread;
  return total;
}
