/** One user's visit: the client, what it learns, and what the user does. No page in here. */
import { Book } from "./chat/book.ts";
import { Reader } from "./chat/reader.ts";
import type { ReaderHooks } from "./chat/reader.ts";
import type { Gone } from "./chat/log.ts";
import { Organizer } from "./chat/organizer.ts";
import { isTyping } from "./chat/typing.ts";
import { Writer } from "./chat/writer.ts";
import { Doorbell } from "./client/client.ts";
import type { Options, State } from "./client/client.ts";
import type { Signal } from "./client/frames.ts";
import type { TokenSource } from "./token.ts";

export interface SessionHooks extends ReaderHooks {
  changed(): void;
  /** A message was deleted: what it said is to be kept nowhere. */
  gone(message: Gone): void;
  /** The server did not do what the user wanted, and why. */
  refused(why: string): void;
  state(state: State): void;
  frame: NonNullable<Options["onFrame"]>;
  closed: NonNullable<Options["onClosed"]>;
}

export class Session {
  readonly book: Book;
  readonly reader: Reader;
  readonly writer: Writer;
  readonly organizer: Organizer;
  private readonly doorbell: Doorbell;
  private typingTimer: ReturnType<typeof setTimeout> | undefined;

  constructor(url: string, device: string, tokens: TokenSource, hooks: SessionHooks) {
    this.book = new Book(hooks.changed, hooks.gone);
    this.doorbell = new Doorbell({
      url,
      device,
      client: "doorbell-web/0.1",
      credentials: tokens,
      pull: (due) => this.reader.pull(due),
      onWelcome: (user, limits) => {
        this.book.me = user;
        this.book.features.welcomed(limits);
      },
      onReset: () => this.reader.reset(),
      onGone: (topics) => this.reader.gone(topics),
      onSignal: (signal) => this.heard(signal),
      onError: (error) => {
        if (this.book.features.learnFrom(error)) hooks.changed();
      },
      onFrame: hooks.frame,
      onClosed: hooks.closed,
      onState: (state) => {
        if (state.name === "live") this.reader.live();
        hooks.state(state);
      },
    });
    this.reader = new Reader(this.book, this.doorbell, hooks);
    this.writer = new Writer(this.book, this.doorbell, hooks.refused);
    this.organizer = new Organizer(this.book, this.doorbell, this.reader);
  }

  start(): void {
    this.doorbell.start();
  }

  stop(): void {
    clearTimeout(this.typingTimer);
    this.doorbell.stop();
  }

  nudge(): void {
    this.doorbell.nudge();
  }

  private heard({ topic, from, data }: Signal): void {
    const { book } = this;
    const typing = isTyping(data);
    if (typing === null || from === book.me) return;
    if (typing) book.typing.heard(topic, from, performance.now());
    else book.typing.ended(topic, from);
    book.changed();
    this.forgetTyping();
  }

  /** Nobody says that he stopped: it is drawn again when the time is over. */
  private forgetTyping(): void {
    clearTimeout(this.typingTimer);
    const next = this.book.typing.next(performance.now());
    if (next === null) return;
    this.typingTimer = setTimeout(() => {
      this.book.changed();
      this.forgetTyping();
    }, next - performance.now());
  }
}
