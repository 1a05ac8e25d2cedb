/** What the user does with messages: every act is sent until it is answered, always with the same key. */
import type { Version } from "../client/frames.ts";
import { newKey } from "../client/key.ts";
import type { Acknowledged, Entry } from "../client/methods.ts";
import type { Book, Wire } from "./book.ts";
import { advanced } from "./conversation.ts";
import type { Pending } from "./conversation.ts";
import { append, goneBy } from "./log.ts";
import { ignoreUntilNextTime } from "./reader.ts";
import { Typist } from "./typing.ts";

export class Writer {
  private readonly typist = new Typist();

  /** `refused` hears why a change was not made, where the user has to know. */
  constructor(
    private readonly book: Book,
    private readonly wire: Wire,
    private readonly refused: (why: string) => void = () => {},
  ) {}

  send(text: string): void {
    if (this.book.openId === null) return;
    this.book.dividerAfter = null;
    this.post(this.book.openId, { key: newKey(), text, writtenAtMs: Date.now(), refused: null });
  }

  /** Sends a refused message once more, as a new one. */
  retry(key: string): void {
    const pending = this.book.open?.pending.find((one) => one.key === key);
    if (pending === undefined) return;
    this.discard(key);
    this.send(pending.text);
  }

  discard(key: string): void {
    const open = this.book.open;
    if (open !== null) this.book.put({ ...open, pending: open.pending.filter((one) => one.key !== key) });
  }

  /** Gives a message of the open conversation another text. */
  edit(of: Version, text: string): void {
    const id = this.book.openId;
    if (id === null) return;
    const params = { conversation: id, of, key: newKey(), text };
    this.amend(id, of, text, this.wire.act(`send ${id}`, "messages.edit", params));
  }

  /** Takes a message of the open conversation away from everybody. */
  remove(of: Version): void {
    const id = this.book.openId;
    if (id === null) return;
    const params = { conversation: id, of, key: newKey() };
    this.amend(id, of, null, this.wire.act(`send ${id}`, "messages.delete", params));
  }

  /** The user looks at the end of the open conversation. */
  seen(): void {
    const open = this.book.open;
    if (open === null || open.log === null || open.unread === 0 || open.log.to <= open.read) return;
    const version = open.log.to;
    this.book.put({ ...open, read: version, unread: 0 });
    // The greatest mark wins, so repeating it needs no key.
    const params = { conversation: open.id, version };
    this.wire.act(`read ${open.id}`, "conversations.mark_read", params).catch(ignoreUntilNextTime);
  }

  /** The user is writing. In a large conversation nobody is told. */
  typing(now: number): void {
    const open = this.book.open;
    if (open === null || open.online !== null || !this.book.features.offers("typing")) return;
    if (this.typist.due(open.topic, now)) this.wire.signal(open.topic, { typing: true });
  }

  private post(id: string, pending: Pending): void {
    this.book.change(id, (now) => ({ ...now, pending: [...now.pending, pending] }));
    const params = { conversation: id, key: pending.key, text: pending.text };
    this.wire.act(`send ${id}`, "messages.send", params).then(
      (ack) => {
        const settle = { pending: this.book.conversations.get(id)?.pending.filter((one) => one.key !== pending.key) ?? [] };
        this.acknowledged(id, settle, { kind: "message", text: pending.text }, ack);
      },
      (error: unknown) => this.notSent(id, pending.key, error),
    );
  }

  /** Shows the message as it will be; what the server refuses is as it was. */
  private amend(id: string, of: Version, text: string | null, answer: Promise<Acknowledged>): void {
    const under = (change: (map: Map<Version, string | null>) => void) => {
      const amending = new Map(this.book.conversations.get(id)?.amending);
      change(amending);
      return { amending };
    };
    this.book.change(id, (now) => ({ ...now, ...under((map) => map.set(of, text)) }));
    answer.then(
      (ack) => {
        const what = text === null ? { kind: "delete" as const, of } : { kind: "edit" as const, of, text };
        this.acknowledged(id, under((map) => map.delete(of)), what, ack);
      },
      (error: unknown) => {
        this.book.features.learn("edits", error);
        this.book.change(id, (now) => ({ ...now, ...under((map) => map.delete(of)) }));
        this.refused(reason(error));
      },
    );
  }

  /** Where nothing lies between, the answer is the log's next entry and saves the pull. */
  private acknowledged(id: string, settled: object, what: Pick<Entry, "kind" | "of" | "text">, ack: Acknowledged): void {
    const { version, sent_at_ms } = ack;
    const entry: Entry = { ...what, version, id: ack.id, from: this.book.me, sent_at_ms };
    const log = this.book.conversations.get(id)?.log;
    const isNext = log?.to === version - 1;
    if (log != null && isNext) for (const message of goneBy(id, log, [entry])) this.book.gone(message);
    this.book.change(id, (now) => {
      const rest = { ...now, ...settled };
      return now.log !== null && isNext ? advanced(rest, append(now.log, [entry]), this.book.me) : rest;
    });
    const now = this.book.conversations.get(id);
    if (now === undefined) return;
    if (now.log !== null && now.log.to >= version) this.wire.have(now.topic, now.log.to);
    else this.wire.ring(now.topic, version);
  }

  private notSent(id: string, key: string, error: unknown): void {
    const why = reason(error);
    this.book.change(id, (now) => ({
      ...now,
      pending: now.pending.map((one) => (one.key === key ? { ...one, refused: why } : one)),
    }));
  }
}

export function reason(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
