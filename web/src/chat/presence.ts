/** Who is there, in the terms of this page. Pure. */
import type { Status } from "../client/methods.ts";
import { isGroup, othersIn } from "./conversation.ts";
import type { Conversation } from "./conversation.ts";

export type Presence = "online" | "away" | "busy" | "offline";

export interface Person {
  presence: Presence;
  /** Their own words. */
  text: string;
  lastSeenMs: number | null;
}

/** Members of the open conversation are followed up to this many; a larger one has its count instead. */
export const FOLLOWED_MEMBERS_MAX = 50;
/** Well below what a session may follow. */
const FOLLOWED_MAX = 200;

const THERE = new Set<string>(["online", "away", "busy"]);
const MINUTE_MS = 60_000;
const HOUR_MS = 60 * MINUTE_MS;
const DAY_MS = 24 * HOUR_MS;

/** Whoever wants not to be seen, and whatever this page does not know, is offline. */
export function personOf(status: Status): Person {
  return {
    presence: THERE.has(status.state) ? (status.state as Presence) : "offline",
    text: status.text ?? "",
    lastSeenMs: status.last_seen_ms ?? null,
  };
}

/** Whose comings and goings matter here: the other one of each pair, and who is in the open conversation. */
export function followed(conversations: Iterable<Conversation>, open: Conversation | null, me: string): string[] {
  const users = new Set<string>();
  if (open !== null && open.memberCount <= FOLLOWED_MEMBERS_MAX) for (const user of othersIn(open, me)) users.add(user);
  for (const conversation of conversations) {
    const [other] = othersIn(conversation, me);
    if (other !== undefined && !isGroup(conversation, me)) users.add(other);
  }
  return [...users].slice(0, FOLLOWED_MAX);
}

/** `Away, at lunch`; `Last seen 5 minutes ago`. */
export function presenceWords(person: Person | undefined, nowMs: number): string {
  if (person === undefined) return "";
  if (person.presence === "offline") return person.lastSeenMs === null ? "Offline" : `Last seen ${ago(nowMs - person.lastSeenMs)}`;
  const state = person.presence === "online" ? "Online" : person.presence === "away" ? "Away" : "Busy";
  return person.text === "" ? state : `${state}, ${person.text}`;
}

/**
 * `3 online · ann, ben, cleo, dan`; of a large one `87 online · 1,240 members`. `people`: as far as known, or `null`
 * where presence is not to be had. This user is there, whatever the others see.
 */
export function whoIsThere(open: Conversation, people: ReadonlyMap<string, Person> | null, me: string): string {
  const small = open.memberCount <= FOLLOWED_MEMBERS_MAX;
  const named = small && open.members.length >= open.memberCount;
  const who = named ? open.members.join(", ") : `${open.memberCount.toLocaleString("en")} members`;
  const isThere = (user: string) => (people?.get(user)?.presence ?? "offline") !== "offline";
  const counted = people === null || !small ? null : othersIn(open, me).filter(isThere).length + 1;
  const there = open.online ?? counted;
  return there === null ? who : `${there.toLocaleString("en")} online · ${who}`;
}

function ago(ms: number): string {
  if (ms < MINUTE_MS) return "just now";
  if (ms < HOUR_MS) return some(Math.floor(ms / MINUTE_MS), "minute");
  if (ms < DAY_MS) return some(Math.floor(ms / HOUR_MS), "hour");
  return some(Math.floor(ms / DAY_MS), "day");
}

function some(n: number, unit: string): string {
  return `${n} ${unit}${n === 1 ? "" : "s"} ago`;
}
