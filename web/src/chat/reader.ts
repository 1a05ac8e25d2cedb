/**
 * How the window learns of changes: a hint of the open conversation pulls its messages, a hint of another refreshes its
 * line in the list, a hint of the inbox reads the list.
 */
import { CallError } from "../client/errors.ts";
import type { Topic, Version } from "../client/frames.ts";
import type { Due } from "../client/pulls.ts";
import type { Entry, ParamsOf, ResultOf, Summary } from "../client/methods.ts";
import { conversationOf } from "./book.ts";
import type { Book, Wire } from "./book.ts";
import { advanced, merged } from "./conversation.ts";
import type { Conversation } from "./conversation.ts";
import { append, goneBy, newestPage, prepend } from "./log.ts";
import { People } from "./people.ts";

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
/** The server shows that many members of a conversation at once. */
const MEMBERS_PAGE = 200;
/** More changed conversations than this are read with one list instead of one by one. */
const SINGLES_MAX = 2;
/** A window further behind than this reads the newest page again instead of everything between. */
const BEHIND_MAX = 2_000;

export class Reader {
  private pagesShown = 1;
  private loadingOlder = false;
  readonly people: People;

  constructor(
    private readonly book: Book,
    private readonly wire: Wire,
    private readonly hooks: ReaderHooks,
  ) {
    this.people = new People(book, wire);
  }

  /** The session is live: the list is read once, and what could not be read without it is tried again. */
  live(): void {
    this.wire.ring(LIST, 1);
    void this.finishOpen().catch(ignoreUntilNextTime);
    void this.people.live().catch(ignoreUntilNextTime);
  }

  reset(): void {
    this.book.forgetVersions();
    this.wire.ring(LIST, 1);
  }

  /** Pulls what was rung. Rejects where something could not be read; what could is kept. */
  async pull(due: Due[]): Promise<void> {
    const singles: Due[] = [];
    let list = false;
    for (const one of await this.people.pull(due)) {
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
    // The list names the first members only.
    if (conversation !== null && conversation.members.length < Math.min(conversation.memberCount, MEMBERS_PAGE)) {
      await this.refresh(conversation.id);
    }
  }

  /** The user is in these no longer. */
  gone(topics: Topic[]): void {
    for (const topic of topics) this.book.drop(conversationOf(topic) ?? "");
  }

  /** Reads one conversation again: what is not in its log, its members say, may have changed. */
  async refresh(id: string): Promise<void> {
    await this.whereStillIn(id, async () => this.take(await this.wire.call("conversations.get", { conversation: id })));
    this.book.changed();
  }

  /** Reads the next page of a large conversation's members. */
  async loadMoreMembers(id: string): Promise<void> {
    const last = this.book.conversations.get(id)?.members.at(-1);
    if (last === undefined) return;
    const page = await this.wire.call("conversations.get", { conversation: id, members_after: last });
    this.book.change(id, (now) => ({ ...now, members: [...new Set([...now.members, ...(page.members ?? [])])] }));
  }

  /** Takes over what the server says. The open conversation is held only as far as its messages are. */
  take(summary: Summary): void {
    const { book } = this;
    const known = book.conversations.get(summary.conversation);
    const conversation = merged(known, summary);
    book.features.saw(summary);
    const { last } = conversation;
    if (last !== null && last.version > (known?.last?.version ?? 0)) book.typing.ended(conversation.topic, last.from);
    if (last?.deleted === true) book.gone({ conversation: conversation.id, version: last.version, id: last.id, texts: [] });
    book.conversations.set(conversation.id, conversation);
    if (conversation.id !== book.openId) this.wire.have(conversation.topic, conversation.version);
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
    await this.whereStillIn(id, () => this.readUpTo(id, version));
  }

  private async readUpTo(id: string, version: Version): Promise<void> {
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
    const fresh = messages.filter((entry) => entry.version > to && entry.from !== book.me && entry.kind === "message");
    for (const { from } of fresh) book.typing.ended(known.topic, from);
    if (fresh.length > 0 && known.unread === 0 && id === book.openId && !this.hooks.attentive()) book.dividerAfter = to;
    for (const message of goneBy(id, known.log, messages)) book.gone(message);
    const log = append(known.log, messages);
    book.put(advanced(known, log, book.me));
    this.wire.have(known.topic, log.to);
    if (fresh.length > 0) this.hooks.arrived(known, fresh);
    const allRead = known.members.length >= known.memberCount;
    // Somebody who was not there before.
    if (allRead && fresh.some(({ from }) => !known.members.includes(from))) void this.refresh(id).catch(ignoreUntilNextTime);
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
    const openUnseen = book.openId !== null && before.has(book.openId);
    if (next === undefined) for (const id of before) book.drop(id);
    else if (openUnseen) await this.refresh(book.openId ?? "");
    book.listNext = next;
    book.listLoaded = true;
    this.wire.have(LIST, 1);
    book.changed();
    await this.finishOpen();
  }

  private async readListPage(before: unknown): Promise<{ conversations: Summary[]; next: unknown }> {
    const params = before === undefined ? { limit: LIST_PAGE } : { limit: LIST_PAGE, before };
    const page = await this.wire.call("conversations.list", params);
    return { conversations: page.conversations, next: page.next ?? undefined };
  }

  /** After a list a conversation that no page shows is left alone. */
  private async readOne(due: Due, listed: boolean): Promise<void> {
    const id = conversationOf(due.topic) ?? "";
    if (!listed || this.book.conversations.has(id)) await this.refresh(id);
  }

  /** To the server a conversation that one is not in is none. */
  private async whereStillIn(id: string, read: () => Promise<void>): Promise<void> {
    try {
      await read();
    } catch (error) {
      if (!(error instanceof CallError) || error.code !== "not_found") throw error;
      this.book.drop(id);
    }
  }

  private readMessages(params: ParamsOf<"messages.list">): Promise<ResultOf<"messages.list">> {
    return this.wire.call("messages.list", params);
  }
}

/** What failed here is asked again when the session is live the next time, or at the next hint. */
export function ignoreUntilNextTime(): void {}
