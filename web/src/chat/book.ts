import type { Topic, Version } from "../client/frames.ts";
import type { ChosenState, ParamsOf, ResultOf } from "../client/methods.ts";
import type { Conversation } from "./conversation.ts";
import { Features } from "./features.ts";
import type { Gone } from "./log.ts";
import type { Person } from "./presence.ts";
import { Typing } from "./typing.ts";

/** As much of the client as the chat uses. */
export interface Wire {
  call<M extends string>(method: M, params: ParamsOf<M>): Promise<ResultOf<M>>;
  act<M extends string>(lane: string, method: M, params: ParamsOf<M>): Promise<ResultOf<M>>;
  have(topic: Topic, version: Version): void;
  ring(topic: Topic, version: Version): void;
  follow(topics: Topic[]): void;
  signal(topic: Topic, data: object): void;
}

/** What the window knows of its user's conversations and of the people in them. Whoever changes it says so with `changed`. */
export class Book {
  me = "";
  /** How the user wants to be seen, where that is known. */
  mine: { state: ChosenState; text: string } | null = null;
  openId: string | null = null;
  /** New messages begin after this version: a line is drawn there. */
  dividerAfter: Version | null = null;
  listLoaded = false;
  /** Where the next page of the list begins, if there is one. */
  listNext: unknown = undefined;
  readonly conversations = new Map<string, Conversation>();
  readonly people = new Map<string, Person>();
  readonly typing = new Typing();
  readonly features = new Features();

  /** `gone` hears of each message that was deleted, so that nothing keeps what it said. */
  constructor(
    readonly changed: () => void,
    readonly gone: (message: Gone) => void = () => {},
  ) {}

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

  /** The user is in this conversation no longer. */
  drop(id: string): void {
    if (this.conversations.delete(id)) this.changed();
  }

  /** The server's store is another one: every version is void. What was written and not acknowledged is kept. */
  forgetVersions(): void {
    for (const [id, conversation] of this.conversations) {
      const fresh = { version: 0, read: 0, unread: 0, log: null, amending: new Map() };
      this.conversations.set(id, { ...conversation, ...fresh });
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
