/** What the user does: every act is sent until it is answered, always with the same key. */
import type { Version } from "../client/frames.ts";
import { newKey } from "../client/key.ts";
import type { Book, Wire } from "./book.ts";
import { advanced } from "./conversation.ts";
import type { Pending, Summary } from "./conversation.ts";
import { append } from "./log.ts";
import type { Entry } from "./log.ts";
import { ignoreUntilNextTime } from "./reader.ts";
import type { Reader } from "./reader.ts";

interface Acknowledged {
  version: Version;
  id: string;
  sent_at_ms: number;
}

export class Writer {
  constructor(
    private readonly book: Book,
    private readonly wire: Wire,
    private readonly reader: Reader,
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

  /** Starts a conversation, or finds the one that this pair already has, and opens it. */
  async create(members: string[], title: string): Promise<void> {
    const params = { members, key: newKey(), ...(title === "" ? {} : { title }) };
    const made = (await this.wire.act("create", "conversations.create", params)) as { conversation: string };
    const summary = await this.wire.call("conversations.get", { conversation: made.conversation });
    this.reader.take(summary as Summary);
    await this.reader.show(made.conversation);
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

  private post(id: string, pending: Pending): void {
    this.book.change(id, (now) => ({ ...now, pending: [...now.pending, pending] }));
    const params = { conversation: id, key: pending.key, text: pending.text };
    this.wire.act(`send ${id}`, "messages.send", params).then(
      (result) => this.acknowledged(id, pending, result as Acknowledged),
      (error: unknown) => this.refused(id, pending.key, error),
    );
  }

  /** Where nothing lies between, the answer is the log's next entry and saves the pull. */
  private acknowledged(id: string, pending: Pending, ack: Acknowledged): void {
    const { version, sent_at_ms } = ack;
    const entry: Entry = { version, kind: "message", id: ack.id, from: this.book.me, text: pending.text, sent_at_ms };
    this.book.change(id, (now) => {
      const rest = { ...now, pending: now.pending.filter((one) => one.key !== pending.key) };
      return now.log?.to === version - 1 ? advanced(rest, append(now.log, [entry]), this.book.me) : rest;
    });
    const now = this.book.conversations.get(id);
    if (now === undefined) return;
    if (now.log !== null && now.log.to >= version) this.wire.have(now.topic, now.log.to);
    else this.wire.ring(now.topic, version);
  }

  private refused(id: string, key: string, error: unknown): void {
    const why = error instanceof Error ? error.message : String(error);
    this.book.change(id, (now) => ({
      ...now,
      pending: now.pending.map((one) => (one.key === key ? { ...one, refused: why } : one)),
    }));
  }
}
