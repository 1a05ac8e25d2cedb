/** The methods of the message service, with what each is given and answers (docs/protocol.md, "Methods"). */
import type { Changes, Topic, Version } from "./frames.ts";

/** One entry of a conversation's log, as `messages.list` gives it. */
export interface Entry {
  version: Version;
  kind: "message" | "edit" | "delete" | "rename";
  /** The message that an edit or a delete is about. */
  of?: Version;
  id: string;
  from: string;
  text?: string;
  media?: string[];
  sent_at_ms: number;
  deleted?: boolean;
}

/** A conversation as `conversations.list` and `conversations.get` give it. */
export interface Summary {
  conversation: string;
  topic: Topic;
  title?: string | null;
  version: Version;
  read: Version;
  unread: number;
  muted?: boolean;
  label?: string | null;
  /** Of a group; a pair has none. */
  owner?: string | null;
  closed?: boolean;
  /** The first of them, in the order of their names. */
  members?: string[];
  member_count?: number;
  /** What to pass as `members_after` for more of them. */
  members_next?: string | null;
  /** How many members of a large one are online. */
  online?: number;
  last?: Entry | null;
  updated_at_ms: number;
}

export interface Acknowledged {
  version: Version;
  id: string;
  sent_at_ms: number;
}

export type ChosenState = "auto" | "online" | "away" | "busy" | "invisible";

export interface Status {
  state: string;
  text?: string | null;
  last_seen_ms?: number | null;
}

interface Ref {
  conversation: string;
}

export interface Methods {
  "topics.changes": { params: { cursor?: string; limit?: number }; result: Changes };
  "conversations.create": {
    params: { members: string[]; title?: string; closed?: boolean; key: string };
    result: { conversation: string; topic: Topic };
  };
  "conversations.list": {
    params: { limit?: number; before?: unknown };
    result: { conversations: Summary[]; next?: unknown };
  };
  "conversations.get": { params: Ref & { members_after?: string; members_limit?: number }; result: Summary };
  "conversations.mark_read": { params: Ref & { version: Version }; result: { read: Version } };
  "conversations.update": { params: Ref & { title?: string; label?: string; muted?: boolean }; result: Summary };
  "members.add": { params: Ref & { users: string[] }; result: { members: number } };
  "members.remove": { params: Ref & { users: string[] }; result: { members: number } };
  "messages.send": { params: Ref & { key: string; text: string }; result: Acknowledged };
  "messages.edit": { params: Ref & { of: Version; key: string; text: string }; result: Acknowledged };
  "messages.delete": { params: Ref & { of: Version; key: string }; result: Acknowledged };
  "messages.list": {
    params: Ref & { after?: Version; to?: Version; before?: Version; limit?: number };
    result: { messages: Entry[]; more: boolean };
  };
  "status.get": { params: { users: string[] }; result: Record<string, Status> };
  "status.set": { params: { state: ChosenState; text?: string }; result: Status };
}

/** Methods of a back end of one's own are called by their name, and say themselves what they answer. */
export type ParamsOf<M extends string> = M extends keyof Methods ? Methods[M]["params"] : object;
export type ResultOf<M extends string> = M extends keyof Methods ? Methods[M]["result"] : unknown;
