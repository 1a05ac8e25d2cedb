/** Who is writing where. Pure: time is an argument. */
import type { Topic } from "../client/frames.ts";

/** One signal says "typing" for this long: two of them may be lost on the way. */
export const SHOWN_MS = 6_000;
/** The server takes one signal in two seconds a topic; its clock and ours need not agree on when. */
export const TOLD_EVERY_MS = 2_200;

/** What the others' signals say. */
export class Typing {
  private readonly until = new Map<Topic, Map<string, number>>();

  heard(topic: Topic, user: string, now: number): void {
    const users = this.until.get(topic) ?? new Map<string, number>();
    users.set(user, now + SHOWN_MS);
    this.until.set(topic, users);
  }

  /** The message is there, or the writer thought better of it. */
  ended(topic: Topic, user: string): void {
    this.until.get(topic)?.delete(user);
  }

  who(topic: Topic, now: number): string[] {
    return [...(this.until.get(topic) ?? [])].filter(([, until]) => until > now).map(([user]) => user);
  }

  /** When somebody ceases to be shown, if anybody is; what is over is forgotten. */
  next(now: number): number | null {
    let next: number | null = null;
    for (const [topic, users] of this.until) {
      for (const [user, until] of users) {
        if (until <= now) users.delete(user);
        else next = Math.min(next ?? until, until);
      }
      if (users.size === 0) this.until.delete(topic);
    }
    return next;
  }
}

/** When this user's own signals are due. */
export class Typist {
  private readonly told = new Map<Topic, number>();

  /** Whether to tell now; counts as told. */
  due(topic: Topic, now: number): boolean {
    if (now - (this.told.get(topic) ?? -Infinity) < TOLD_EVERY_MS) return false;
    this.told.set(topic, now);
    return true;
  }
}

/** `ann is typing`, `ann and ben are typing`, `ann, ben and others are typing`. */
export function typingWords(users: string[]): string {
  const [one, two] = users;
  if (one === undefined) return "";
  if (two === undefined) return `${one} is typing`;
  return users.length === 2 ? `${one} and ${two} are typing` : `${one}, ${two} and others are typing`;
}

export function isTyping(data: unknown): boolean | null {
  if (typeof data !== "object" || data === null) return null;
  const { typing } = data as { typing?: unknown };
  return typeof typing === "boolean" ? typing : null;
}
