/** One user's visit: the client, what it learns, and what the user does. No page in here. */
import { Book } from "./chat/book.ts";
import { Reader } from "./chat/reader.ts";
import type { ReaderHooks } from "./chat/reader.ts";
import { Writer } from "./chat/writer.ts";
import { Doorbell } from "./client/client.ts";
import type { Options, State } from "./client/client.ts";
import type { TokenSource } from "./token.ts";

export interface SessionHooks extends ReaderHooks {
  changed(): void;
  state(state: State): void;
  frame: NonNullable<Options["onFrame"]>;
  closed: NonNullable<Options["onClosed"]>;
}

export class Session {
  readonly book: Book;
  readonly reader: Reader;
  readonly writer: Writer;
  private readonly doorbell: Doorbell;

  constructor(url: string, device: string, tokens: TokenSource, hooks: SessionHooks) {
    this.book = new Book(hooks.changed);
    this.doorbell = new Doorbell({
      url,
      device,
      client: "doorbell-web/0.1",
      credentials: tokens,
      pull: (due) => this.reader.pull(due),
      onWelcome: (user) => (this.book.me = user),
      onReset: () => this.reader.reset(),
      onFrame: hooks.frame,
      onClosed: hooks.closed,
      onState: (state) => {
        if (state.name === "live") this.reader.live();
        hooks.state(state);
      },
    });
    this.reader = new Reader(this.book, this.doorbell, hooks);
    this.writer = new Writer(this.book, this.doorbell, this.reader);
  }

  start(): void {
    this.doorbell.start();
  }

  stop(): void {
    this.doorbell.stop();
  }

  nudge(): void {
    this.doorbell.nudge();
  }
}
