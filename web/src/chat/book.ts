import type { Topic, Version } from "../client/frames.ts";
import type { Conversation } from "./conversation.ts";

/** As much of the client as the chat uses. */
export interface Wire {
  call(method: string, params: object): Promise<unknown>;
  act(lane: string, method: string, params: object): Promise<unknown>;
  have(topic: Topic, version: Version): void;
  ring(topic: Topic, version: Version): void;
}

/** What the window knows of its user's conversations. Whoever changes it says so with `changed`. */
export class Book {
  me = "";
  openId: string | null = null;
  /** New messages begin after this version: a line is drawn there. */
  dividerAfter: Version | null = null;
  listLoaded = false;
  /** Where the next page of the list begins, if there is one. */
  listNext: unknown = undefined;
  readonly conversations = new Map<string, Conversation>();

  constructor(readonly changed: () => void) {}

  get open(): Conversation | null {
    return this.openId === null ? null : (this.conversations.get(this.openId) ?? null);
  }

  put(conversation: Conversation): void {
    this.conversations.set(conversation.id, conversation);
    this.changed();
  }

  change(id: string, step: (now: Conversation) => Conversation): void {
    const now = this.conversations.get(id);
    if (now !== undefined) this.put(step(now));
  }

  /** The server's store is another one: every version is void. What was written and not acknowledged is kept. */
  forgetVersions(): void {
    for (const [id, conversation] of this.conversations) {
      this.conversations.set(id, { ...conversation, version: 0, read: 0, unread: 0, log: null });
    }
    this.dividerAfter = null;
    this.listLoaded = false;
    this.changed();
  }
}

/** `conversation:01J9…` -> `01J9…` */
export function conversationOf(topic: Topic): string | null {
  return topic.startsWith("conversation:") ? topic.slice("conversation:".length) : null;
}
