/** Keeps what is known of people current: their topics are followed, a hint of one is answered by `status.get`. */
import type { Due } from "../client/pulls.ts";
import type { ChosenState } from "../client/methods.ts";
import type { Book, Wire } from "./book.ts";
import { followed, personOf } from "./presence.ts";

const PREFIX = "presence:";
/** Users of one `status.get`. */
const ASKED_MAX = 100;

export class People {
  private asked = "";

  constructor(
    private readonly book: Book,
    private readonly wire: Wire,
  ) {}

  /** Follows whom the page shows; says so to the server only where that changed. */
  follow(): void {
    const { book } = this;
    const users = book.features.offers("presence") ? followed(book.conversations.values(), book.open, book.me) : [];
    const names = JSON.stringify([...users].sort());
    if (names === this.asked) return;
    this.asked = names;
    for (const user of book.people.keys()) if (!users.includes(user)) book.people.delete(user);
    this.wire.follow(users.map((user) => PREFIX + user));
  }

  /** Answers the hints of people, and gives back those of anything else. */
  async pull(due: Due[]): Promise<Due[]> {
    const people = due.filter((one) => one.topic.startsWith(PREFIX));
    for (let at = 0; at < people.length; at += ASKED_MAX) await this.ask(people.slice(at, at + ASKED_MAX));
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

  private async ask(due: Due[]): Promise<void> {
    const users = due.map((one) => one.topic.slice(PREFIX.length));
    try {
      const found = await this.wire.call("status.get", { users });
      for (const user of users) {
        const status = found[user];
        if (status === undefined) this.book.people.delete(user);
        else this.book.people.set(user, personOf(status));
      }
    } catch (error) {
      if (!this.book.features.learn("presence", error)) throw error;
    }
    for (const { topic, version } of due) this.wire.have(topic, version);
    this.book.changed();
  }
}

/** What a server says of oneself may be what the others see; that somebody is seen as online is no choice. */
function chosen(state: string): ChosenState {
  return state === "away" || state === "busy" || state === "invisible" ? state : "auto";
}
