/**
 * Keeps what is known of people current: their topics are followed, a hint of one is answered by `status.get`. Whoever
 * never came or went has no version that could be ahead of ours, so each is also asked for once at the start.
 */
import type { Due } from "../client/pulls.ts";
import type { ChosenState } from "../client/methods.ts";
import type { Book, Wire } from "./book.ts";
import { followed, personOf } from "./presence.ts";

const PREFIX = "presence:";
/** Users of one `status.get`. */
const ASKED_MAX = 100;

export class People {
  private users: string[] = [];

  constructor(
    private readonly book: Book,
    private readonly wire: Wire,
  ) {}

  /** Follows whom the page shows; says so to the server only where that changed. */
  follow(): void {
    const { book } = this;
    const users = book.features.offers("presence") ? followed(book.conversations.values(), book.open, book.me) : [];
    const before = new Set(this.users);
    const fresh = users.filter((user) => !before.has(user));
    if (fresh.length === 0 && users.length === before.size) return;
    this.users = users;
    for (const user of book.people.keys()) if (!users.includes(user)) book.people.delete(user);
    this.wire.follow(users.map((user) => PREFIX + user));
    if (fresh.length > 0) void this.ask(fresh).catch(() => {});
  }

  /** A new session: perhaps of a server that has forgotten who came and went. */
  async live(): Promise<void> {
    await this.readMine();
    await this.ask(this.users);
  }

  /** Answers the hints of people, and gives back those of anything else. */
  async pull(due: Due[]): Promise<Due[]> {
    const people = due.filter((one) => one.topic.startsWith(PREFIX));
    await this.ask(people.map((one) => one.topic.slice(PREFIX.length)));
    for (const { topic, version } of people) this.wire.have(topic, version);
    return due.filter((one) => !one.topic.startsWith(PREFIX));
  }

  /** How the others see this user. */
  async readMine(): Promise<void> {
    const { book } = this;
    if (!book.features.mayKnowPeople) return;
    try {
      const found = (await this.wire.call("status.get", { users: [book.me] }))[book.me];
      book.features.sawStatus();
      if (found !== undefined) book.mine = { state: chosen(found.state), text: found.text ?? "" };
      book.changed();
    } catch (error) {
      if (!book.features.learn("status", error)) throw error;
    }
  }

  async setMine(state: ChosenState, text: string): Promise<void> {
    await this.wire.act("status", "status.set", { state, text });
    this.book.mine = { state, text };
    this.book.changed();
  }

  private async ask(users: string[]): Promise<void> {
    try {
      for (let at = 0; at < users.length; at += ASKED_MAX) await this.read(users.slice(at, at + ASKED_MAX));
    } catch (error) {
      if (!this.book.features.learn("presence", error)) throw error;
    }
    this.book.changed();
  }

  private async read(users: string[]): Promise<void> {
    const found = await this.wire.call("status.get", { users });
    for (const user of users) {
      const status = found[user];
      if (status === undefined) this.book.people.delete(user);
      else this.book.people.set(user, personOf(status));
    }
  }
}

const CHOICES = new Set<string>(["auto", "online", "away", "busy", "invisible"]);

/** One's own status is as it was set; what this page does not know is no choice of its menu. */
function chosen(state: string): ChosenState {
  return CHOICES.has(state) ? (state as ChosenState) : "auto";
}
