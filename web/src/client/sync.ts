import { retryDelay } from "./acts.ts";
import { fullJitter } from "./backoff.ts";
import type { Clock } from "./clock.ts";
import type { Changes, Hint, Topic, Topics, Version } from "./frames.ts";
import { Pulls } from "./pulls.ts";
import type { Due } from "./pulls.ts";

export interface SyncHooks {
  call(method: string, params: object): Promise<unknown>;
  /** Pull these, and say with `have` how far you got. May reject: it is tried again. */
  pull(due: Due[]): Promise<void>;
  /** Forget every version you hold. */
  reset(): void;
  /** These are no longer the user's. */
  gone(topics: Topic[]): void;
  caughtUp(): void;
}

/** Besides every hint, the cursor is asked once in so many heartbeats: a loss anywhere is found by then. */
export const CHECK_HEARTBEATS = 4;
/** A pull that answered nothing new for a version that was rung is repeated after this. */
const UNCHANGED_RETRY_MS = 1_000;

/** Keeps the application at the head of its topics: hints and the cursor say what is behind, pulls close the gap. */
export class Sync {
  private readonly pulls = new Pulls();
  private cursor: string | undefined;
  private open = false;
  private catching = false;
  private again = false;
  private failures = 0;
  private checkMs = 100_000;
  private cancelPump = () => {};
  private cancelCheck = () => {};

  constructor(
    private readonly hooks: SyncHooks,
    private readonly clock: Clock,
    private readonly random: () => number,
  ) {}

  /** A session was registered: from now on every change is hinted, and the cursor shows what came before. */
  opened(heartbeatMs: number): void {
    this.open = true;
    this.checkMs = heartbeatMs * CHECK_HEARTBEATS;
    this.check();
  }

  lost(): void {
    this.open = false;
    this.cancelPump();
    this.cancelCheck();
  }

  hint(frame: Hint): void {
    const at = this.clock.now() + (frame.pull_after_ms ?? 0);
    this.pulls.ring(frame.topics, at);
    if (frame.more === true || frame.resync === true) this.checkAt(at);
    this.pump();
  }

  have(topic: Topic, version: Version): void {
    this.pulls.have(topic, version);
  }

  holds(topic: Topic): Version {
    return this.pulls.holds(topic);
  }

  /** Rings by hand: the application learnt of a version in another way than by a hint. */
  ring(topics: Topics): void {
    this.pulls.ring(topics, this.clock.now());
    this.pump();
  }

  /** Asks with the cursor, now. */
  check(): void {
    if (!this.open) return;
    if (this.catching) this.again = true;
    else void this.catchUp();
  }

  private checkAt(at: number): void {
    this.cancelCheck();
    this.cancelCheck = this.clock.after(Math.max(0, at - this.clock.now()), () => this.check());
  }

  private async catchUp(): Promise<void> {
    this.catching = true;
    let next = this.clock.now();
    try {
      do {
        this.again = false;
        await this.readChanges();
      } while (this.again);
      this.failures = 0;
      next = this.clock.now() + this.checkMs * (0.75 + this.random() / 2);
    } catch (error) {
      next = this.clock.now() + this.delayAfter(error);
    }
    this.catching = false;
    if (!this.open) return;
    this.checkAt(next);
    this.pump();
  }

  private async readChanges(): Promise<void> {
    for (let more = true; more; ) {
      const params = this.cursor === undefined ? {} : { cursor: this.cursor };
      const page = (await this.hooks.call("topics.changes", params)) as Changes;
      if (page.reset === true) this.forget();
      this.leave(page.gone ?? []);
      this.pulls.ring(page.topics, this.clock.now());
      this.cursor = page.cursor;
      more = page.more;
    }
    this.hooks.caughtUp();
  }

  /** These are no longer the user's: should they come back, they begin anew. */
  private leave(topics: Topic[]): void {
    if (topics.length === 0) return;
    for (const topic of topics) this.pulls.leave(topic);
    this.hooks.gone(topics);
  }

  private forget(): void {
    this.pulls.forget();
    this.hooks.reset();
  }

  /** Starts the pulls whose time has come. While the cursor is asked they gather, so that one pull serves many. */
  private pump(): void {
    this.cancelPump();
    if (!this.open || this.catching) return;
    const due = this.pulls.take(this.clock.now());
    if (due.length > 0) void this.pull(due);
    const next = this.pulls.next();
    if (next === null) return;
    this.cancelPump = this.clock.after(Math.max(0, next - this.clock.now()), () => this.pump());
  }

  private async pull(due: Due[]): Promise<void> {
    let delay = UNCHANGED_RETRY_MS;
    try {
      await this.hooks.pull(due);
      this.failures = 0;
    } catch (error) {
      // A lost socket is no failure of the pull: it is repeated as soon as there is another one.
      delay = this.open ? this.delayAfter(error) : 0;
    }
    const retryAt = this.clock.now() + delay;
    for (const { topic } of due) this.pulls.finished(topic, retryAt);
    this.pump();
  }

  /** Reading is harmless, so even a final error is asked again, ever more slowly: the server may be mended. */
  private delayAfter(error: unknown): number {
    this.failures += 1;
    const random = this.random();
    return retryDelay(error, this.failures, random) ?? fullJitter(this.failures, random);
  }
}
