/** What the user does with conversations: begin one, name it, mute it, and say who is in it. */
import { newKey } from "../client/key.ts";
import type { ParamsOf } from "../client/methods.ts";
import type { Book, Wire } from "./book.ts";
import type { Feature } from "./features.ts";
import type { Reader } from "./reader.ts";

/** What a conversation begins with. */
export interface Beginning {
  members: string[];
  title: string;
  /** The creator alone may add members. */
  closed: boolean;
}

export class Organizer {
  constructor(
    private readonly book: Book,
    private readonly wire: Wire,
    private readonly reader: Reader,
  ) {}

  /** Starts a conversation, or finds the one that this pair already has, and opens it. */
  async create({ members, title, closed }: Beginning): Promise<void> {
    const params = { members, key: newKey(), ...(title === "" ? {} : { title }), ...(closed ? { closed } : {}) };
    const made = await this.wire.act("create", "conversations.create", params);
    this.reader.take(await this.wire.call("conversations.get", { conversation: made.conversation }));
    await this.reader.show(made.conversation);
  }

  /** For everybody. */
  rename(id: string, title: string): Promise<void> {
    return this.update(id, { title });
  }

  /** For this user alone; empty takes it away. */
  label(id: string, label: string): Promise<void> {
    return this.update(id, { label });
  }

  /** For this user alone: its messages count in no total. */
  mute(id: string, muted: boolean): Promise<void> {
    return this.update(id, { muted });
  }

  addMembers(id: string, users: string[]): Promise<void> {
    return this.change(id, async () => void (await this.wire.act(`group ${id}`, "members.add", { conversation: id, users })));
  }

  removeMember(id: string, user: string): Promise<void> {
    const params = { conversation: id, users: [user] };
    return this.change(id, async () => void (await this.wire.act(`group ${id}`, "members.remove", params)));
  }

  async leave(id: string): Promise<void> {
    const params = { conversation: id, users: [this.book.me] };
    await this.offered("groups", () => this.wire.act(`group ${id}`, "members.remove", params));
    this.book.drop(id);
  }

  private async update(id: string, what: Omit<ParamsOf<"conversations.update">, "conversation">): Promise<void> {
    const params = { conversation: id, ...what };
    await this.offered("groups", async () => {
      this.reader.take(await this.wire.act(`group ${id}`, "conversations.update", params));
    });
    this.book.changed();
  }

  /** Members are not in the log: after a change they are read again. */
  private async change(id: string, act: () => Promise<void>): Promise<void> {
    await this.offered("groups", act);
    await this.reader.refresh(id);
  }

  /** What the server does not have at all is not offered again. */
  private async offered(feature: Feature, act: () => Promise<unknown>): Promise<void> {
    try {
      await act();
    } catch (error) {
      if (this.book.features.learn(feature, error)) this.book.changed();
      throw error;
    }
  }
}
