/**
 * How the window learns of changes: a hint of the open conversation pulls its messages, a hint of another refreshes its
 * line in the list, a hint of the inbox reads the list.
 */
import { CallError } from "../client/errors.ts";
import type { Topic, Version } from "../client/frames.ts";
import type { Due } from "../client/pulls.ts";
import { conversationOf } from "./book.ts";
import type { Book, Wire } from "./book.ts";
import { advanced, merged } from "./conversation.ts";
import type { Conversation, Summary } from "./conversation.ts";
import { append, newestPage, prepend } from "./log.ts";
import type { Entry } from "./log.ts";

interface ListPage {
  conversations: Summary[];
  next?: unknown;
}

interface MessagesPage {
  messages: Entry[];
  more: boolean;
}

export interface ReaderHooks {
  /** Whether the user is looking at the end of the open conversation. */
  attentive(): boolean;
  /** Messages of the open conversation that were not there before. */
  arrived(conversation: Conversation, entries: Entry[]): void;
}

/** A topic of this window only: ringing it reads the list for the first time. */
const LIST: Topic = "window:list";
const LIST_PAGE = 50;
const MESSAGES_PAGE = 50;
const CATCH_UP_PAGE = 200;
/** More changed conversations than this are read with one list instead of one by one. */
const SINGLES_MAX = 2;
/** A window further behind than this reads the newest page again instead of everything between. */
const BEHIND_MAX = 2_000;

export class Reader {
  private pagesShown = 1;
  private loadingOlder = false;

  constructor(
    private readonly book: Book,
    private readonly wire: Wire,
    private readonly hooks: ReaderHooks,
  ) {}

  /** The session is live: the list is read once, and what could not be read without it is tried again. */
  live(): void {
    this.wire.ring(LIST, 1);
    void this.finishOpen().catch(ignoreUntilNextTime);
  }

  reset(): void {
    this.book.forgetVersions();
    this.wire.ring(LIST, 1);
  }

  /** Pulls what was rung. Rejects where something could not be read; what could is kept. */
  async pull(due: Due[]): Promise<void> {
    const singles: Due[] = [];
    let list = false;
    for (const one of due) {
      const id = conversationOf(one.topic);
      if (id === null) list ||= one.topic === LIST || one.topic === `inbox:${this.book.me}`;
      else if (id === this.book.openId) await this.pullOpen(id, one.version);
      else singles.push(one);
    }
    list ||= singles.length > SINGLES_MAX;
    if (list) await this.readList();
    for (const one of singles) if (this.isBehind(one)) await this.readOne(one, list);
    this.leaveOut(due);
  }

  async show(id: string | null): Promise<void> {
    const { book } = this;
    book.openId = id;
    const conversation = book.open;
    book.dividerAfter = conversation !== null && conversation.unread > 0 ? conversation.read : null;
    book.changed();
    await this.finishOpen();
  }

  /** Takes over what the server says. The open conversation is held only as far as its messages are. */
  take(summary: Summary): void {
    const conversation = merged(this.book.conversations.get(summary.conversation), summary);
    this.book.conversations.set(conversation.id, conversation);
    if (conversation.id !== this.book.openId) this.wire.have(conversation.topic, conversation.version);
  }

  async loadOlder(): Promise<void> {
    const open = this.book.open;
    if (open === null || open.log === null || open.log.after === 0 || this.loadingOlder) return;
    this.loadingOlder = true;
    try {
      const page = await this.readMessages({ conversation: open.id, before: open.log.after + 1, limit: MESSAGES_PAGE });
      this.book.change(open.id, (now) =>
        now.log === null ? now : { ...now, log: prepend(now.log, page.messages, page.more) },
      );
    } finally {
      this.loadingOlder = false;
    }
  }

  async loadMoreConversations(): Promise<void> {
    if (this.book.listNext === undefined) return;
    const page = await this.readListPage(this.book.listNext);
    this.pagesShown += 1;
    for (const summary of page.conversations) this.take(summary);
    this.book.listNext = page.next;
    this.book.changed();
  }

  private isBehind(due: Due): boolean {
    const id = conversationOf(due.topic);
    return (this.book.conversations.get(id ?? "")?.version ?? 0) < due.version;
  }

  /** What lies on no page that is shown, or is a kind of topic that this window shows nothing of, is not pulled. */
  private leaveOut(due: Due[]): void {
    for (const { topic, version } of due) {
      if (!this.book.conversations.has(conversationOf(topic) ?? "")) this.wire.have(topic, version);
    }
  }

  private async finishOpen(): Promise<void> {
    const open = this.book.open;
    if (open !== null && (open.log === null || open.log.to < open.version)) await this.pullOpen(open.id, open.version);
  }

  private async loadNewest(id: string, version: Version): Promise<void> {
    const head = Math.max(version, this.book.conversations.get(id)?.version ?? 0);
    const params = { conversation: id, before: head + 1, limit: MESSAGES_PAGE };
    const page = head === 0 ? { messages: [], more: false } : await this.readMessages(params);
    this.book.change(id, (now) => ({ ...now, log: now.log ?? newestPage(head, page.messages, page.more) }));
    const known = this.book.conversations.get(id);
    if (known?.log != null) this.wire.have(known.topic, known.log.to);
  }

  /** Reads everything after what is there, page after page, at least up to `version`. */
  private async pullOpen(id: string, version: Version): Promise<void> {
    const start = this.book.conversations.get(id);
    if (start?.log != null && version - start.log.to > BEHIND_MAX) this.book.put({ ...start, log: null });
    if (this.book.conversations.get(id)?.log === null) await this.loadNewest(id, version);
    for (let more = true; more; ) {
      const after = this.book.conversations.get(id)?.log?.to;
      if (after === undefined || after >= version) return;
      const page = await this.readMessages({ conversation: id, after, limit: CATCH_UP_PAGE });
      this.extend(id, page.messages);
      more = page.more;
    }
  }

  private extend(id: string, messages: Entry[]): void {
    const { book } = this;
    const known = book.conversations.get(id);
    if (known === undefined || known.log === null) return;
    const { to } = known.log;
    const fresh = messages.filter((entry) => entry.version > to && entry.from !== book.me);
    if (fresh.length > 0 && known.unread === 0 && id === book.openId && !this.hooks.attentive()) book.dividerAfter = to;
    const log = append(known.log, messages);
    book.put(advanced(known, log, book.me));
    this.wire.have(known.topic, log.to);
    if (fresh.length > 0) this.hooks.arrived(known, fresh);
  }

  /** Reads as many pages of the list as are shown; where that is all, what it lacks is gone. */
  private async readList(): Promise<void> {
    const { book } = this;
    const before = new Set(book.conversations.keys());
    let next: unknown = undefined;
    for (let page = 0; page < this.pagesShown; page++) {
      const result = await this.readListPage(next);
      for (const summary of result.conversations) {
        this.take(summary);
        before.delete(summary.conversation);
      }
      next = result.next;
      if (next === undefined) break;
    }
    if (next === undefined) for (const id of before) book.conversations.delete(id);
    book.listNext = next;
    book.listLoaded = true;
    this.wire.have(LIST, 1);
    book.changed();
    await this.finishOpen();
  }

  private async readListPage(before: unknown): Promise<ListPage> {
    const params = before === undefined ? { limit: LIST_PAGE } : { limit: LIST_PAGE, before };
    const page = (await this.wire.call("conversations.list", params)) as ListPage;
    return { conversations: page.conversations, next: page.next ?? undefined };
  }

  /** After a list a conversation that no page shows is left alone. */
  private async readOne(due: Due, listed: boolean): Promise<void> {
    const id = conversationOf(due.topic) ?? "";
    if (listed && !this.book.conversations.has(id)) return;
    try {
      this.take((await this.wire.call("conversations.get", { conversation: id })) as Summary);
    } catch (error) {
      if (!(error instanceof CallError) || error.code !== "not_found") throw error;
      this.book.conversations.delete(id);
    }
    this.book.changed();
  }

  private async readMessages(params: object): Promise<MessagesPage> {
    return (await this.wire.call("messages.list", params)) as MessagesPage;
  }
}

/** What failed here is asked again when the session is live the next time, or at the next hint. */
export function ignoreUntilNextTime(): void {}
