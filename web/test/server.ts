/** The part of a server that the chat talks to, without a socket: enough to pull from and to send to. */
import type { Wire } from "../src/chat/book.ts";
import { CallError } from "../src/client/errors.ts";
import type { Entry, ParamsOf, ResultOf, Status, Summary } from "../src/client/methods.ts";

export class FakeWire implements Wire {
  readonly log: { method: string; params: Record<string, unknown> }[] = [];
  readonly held = new Map<string, number>();
  readonly rung: [string, number][] = [];
  readonly conversations = new Map<string, Entry[]>();
  readonly statuses = new Map<string, Status>();
  readonly signals: { topic: string; data: object }[] = [];
  followed: string[] = [];
  /** What a server of today says beside what one of yesterday did. */
  extra: Partial<Summary> = {};
  refuse: CallError | null = null;

  constructor(readonly user: string) {}

  /** Appends as another user would. */
  append(id: string, from: string, text: string): Entry {
    return this.add(id, { kind: "message", from, text });
  }

  methods(): string[] {
    return this.log.map((call) => call.method);
  }

  have(topic: string, version: number): void {
    this.held.set(topic, version);
  }

  ring(topic: string, version: number): void {
    this.rung.push([topic, version]);
  }

  follow(topics: string[]): void {
    this.followed = topics;
  }

  signal(topic: string, data: object): void {
    this.signals.push({ topic, data });
  }

  async call<M extends string>(method: M, params: ParamsOf<M>): Promise<ResultOf<M>> {
    return this.answer(method, params as Record<string, unknown>) as ResultOf<M>;
  }

  async act<M extends string>(_lane: string, method: M, params: ParamsOf<M>): Promise<ResultOf<M>> {
    return this.answer(method, params as Record<string, unknown>) as ResultOf<M>;
  }

  /** Appends an entry of any kind, as the server does; a delete takes the content away from all that comes later. */
  add(id: string, what: Partial<Entry> & Pick<Entry, "kind" | "from">): Entry {
    const entries = this.conversations.get(id) ?? [];
    const version = entries.length + 1;
    const entry: Entry = { version, id: `m${version}`, sent_at_ms: version * 1_000, ...what };
    const kept = entries.map((one) => {
      if (what.kind !== "delete" || (one.version !== what.of && one.of !== what.of)) return one;
      const { text: _, ...rest } = one;
      return { ...rest, deleted: true };
    });
    this.conversations.set(id, [...kept, entry]);
    return entry;
  }

  private answer(method: string, given: Record<string, unknown>): unknown {
    this.log.push({ method, params: given });
    if (this.refuse !== null) throw this.refuse;
    const id = String(given.conversation);
    const text = String(given.text);
    switch (method) {
      case "messages.list":
        return this.page(this.conversations.get(id) ?? [], given as Record<string, number | string>);
      case "conversations.get":
        return this.summary(id);
      case "conversations.list":
        return { conversations: [...this.conversations.keys()].map((one) => this.summary(one)) };
      case "messages.send":
        return this.add(id, { kind: "message", from: this.user, text });
      case "messages.edit":
        return this.add(id, { kind: "edit", of: Number(given.of), from: this.user, text });
      case "messages.delete":
        return this.add(id, { kind: "delete", of: Number(given.of), from: this.user });
      case "conversations.update":
        return { ...this.summary(id), ...given };
      case "status.get":
        return Object.fromEntries([...this.statuses].filter(([user]) => (given.users as string[]).includes(user)));
      default:
        return { conversation: "new", read: 1, members: 2 };
    }
  }

  summary(id: string): Summary {
    const entries = this.conversations.get(id);
    if (entries === undefined) throw new CallError({ code: "not_found", message: "no such conversation" });
    const others = entries.filter((entry) => entry.from !== this.user).length;
    return {
      conversation: id,
      topic: `conversation:${id}`,
      version: entries.length,
      read: 0,
      unread: others,
      members: [this.user, "bob"],
      last: entries.at(-1) ?? null,
      updated_at_ms: entries.length,
      ...this.extra,
    };
  }

  private page(entries: Entry[], params: Record<string, number | string>): { messages: Entry[]; more: boolean } {
    const limit = Number(params.limit);
    if (params.before !== undefined) {
      const found = entries.filter((entry) => entry.version < Number(params.before));
      return { messages: found.slice(-limit), more: found.length > limit };
    }
    const found = entries.filter((entry) => entry.version > Number(params.after));
    return { messages: found.slice(0, limit), more: found.length > limit };
  }
}
