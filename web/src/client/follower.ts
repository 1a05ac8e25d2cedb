import { retryDelay } from "./acts.ts";
import type { Clock } from "./clock.ts";
import { CallError } from "./errors.ts";
import type { Topic, Topics, Version } from "./frames.ts";

export interface FollowerHooks {
  subscribe(topics: Topics): Promise<unknown>;
  unsubscribe(topics: Topic[]): Promise<unknown>;
  holds(topic: Topic): Version;
  /** These were the versions at the moment of the subscription. */
  ring(topics: Topics): void;
}

/** The most that one frame may name. */
export const SUBSCRIBE_MAX = 1_000;

/**
 * Keeps the server following what the application wants followed beside its own conversations. A subscription is the
 * session's: it is made again, with the versions held by then, on each new socket and after `more` and `resync`.
 */
export class Follower {
  private wanted = new Set<Topic>();
  /** What this session was asked to follow, whether it granted that or not. */
  private readonly told = new Set<Topic>();
  /** Moves when `told` begins anew: an answer from before then says nothing. */
  private round = 0;
  private limit = 0;
  private open = false;
  private telling = false;
  private failures = 0;
  private cancelRetry = () => {};

  constructor(
    private readonly hooks: FollowerHooks,
    private readonly clock: Clock,
    private readonly random: () => number,
  ) {}

  /** Exactly these from now on; of more than the session may follow, the first. */
  want(topics: Iterable<Topic>): void {
    this.wanted = new Set(topics);
    void this.tell();
  }

  /** A session was registered, which follows at most `limit` topics: none where the server does not offer it. */
  opened(limit: number): void {
    this.open = true;
    this.limit = limit;
    this.failures = 0;
    this.repeat();
  }

  lost(): void {
    this.open = false;
    this.cancelRetry();
  }

  /** Hints may have been left out: each topic is asked for again, with the version that is held. */
  repeat(): void {
    this.round += 1;
    this.told.clear();
    void this.tell();
  }

  private async tell(): Promise<void> {
    if (this.telling || !this.open) return;
    this.telling = true;
    this.cancelRetry();
    try {
      while (this.open && (await this.step()));
      this.failures = 0;
    } catch (error) {
      this.failed(error);
    }
    this.telling = false;
  }

  /** Says the next difference; `false` where there is none. */
  private async step(): Promise<boolean> {
    const wanted = [...this.wanted].slice(0, this.limit);
    const keep = new Set(wanted);
    const gone = [...this.told].filter((topic) => !keep.has(topic)).slice(0, SUBSCRIBE_MAX);
    if (gone.length > 0) {
      await this.hooks.unsubscribe(gone);
      for (const topic of gone) this.told.delete(topic);
      return true;
    }
    const fresh = wanted.filter((topic) => !this.told.has(topic)).slice(0, SUBSCRIBE_MAX);
    if (fresh.length > 0) await this.subscribe(fresh);
    return fresh.length > 0;
  }

  private async subscribe(topics: Topic[]): Promise<void> {
    const { round } = this;
    const held = topics.map((topic) => [topic, this.hooks.holds(topic)] as const);
    this.hooks.ring(await this.ask(Object.fromEntries(held)));
    if (round === this.round) for (const topic of topics) this.told.add(topic);
  }

  /** The versions of those that are followed now. That none of them may be is an answer, too. */
  private async ask(topics: Topics): Promise<Topics> {
    try {
      const result = (await this.hooks.subscribe(topics)) as { topics?: Topics } | null;
      return result?.topics ?? {};
    } catch (error) {
      if (error instanceof CallError && error.code === "not_found") return {};
      throw error;
    }
  }

  private failed(error: unknown): void {
    if (!this.open) return;
    const delay = retryDelay(error, this.failures, this.random());
    // A final refusal is one of this session: the next is asked again.
    if (delay === null) {
      this.limit = 0;
      this.told.clear();
      return;
    }
    this.failures += 1;
    this.cancelRetry = this.clock.after(delay, () => void this.tell());
  }
}
