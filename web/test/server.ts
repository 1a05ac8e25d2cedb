/** The part of a server that the chat talks to, without a socket: enough to pull from and to send to. */
import type { Wire } from "../src/chat/book.ts";
import type { Summary } from "../src/chat/conversation.ts";
import type { Entry } from "../src/chat/log.ts";
import { CallError } from "../src/client/errors.ts";

export class FakeWire implements Wire {
  readonly log: { method: string; params: Record<string, unknown> }[] = [];
  readonly held = new Map<string, number>();
  readonly rung: [string, number][] = [];
  readonly conversations = new Map<string, Entry[]>();
  refuse: CallError | null = null;

  constructor(readonly user: string) {}

  /** Appends as another user would. */
  append(id: string, from: string, text: string): Entry {
    const entries = this.conversations.get(id) ?? [];
    const version = entries.length + 1;
    const entry: Entry = { version, kind: "message", id: `m${version}`, from, text, sent_at_ms: version * 1_000 };
    this.conversations.set(id, [...entries, entry]);
    return entry;
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

  async call(method: string, params: object): Promise<unknown> {
    const given = params as Record<string, number | string>;
    this.log.push({ method, params: given });
    if (this.refuse !== null) throw this.refuse;
    const entries = this.conversations.get(String(given.conversation)) ?? [];
    if (method === "messages.list") return this.page(entries, given);
    if (method === "conversations.get") return this.summary(String(given.conversation));
    if (method === "conversations.list") {
      return { conversations: [...this.conversations.keys()].map((id) => this.summary(id)) };
    }
    return {};
  }

  async act(_lane: string, method: string, params: object): Promise<unknown> {
    const given = params as Record<string, string>;
    this.log.push({ method, params: given });
    if (this.refuse !== null) throw this.refuse;
    if (method !== "messages.send") return { conversation: "new", read: 1 };
    const { version, id, sent_at_ms } = this.append(String(given.conversation), this.user, String(given.text));
    return { version, id, sent_at_ms };
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
