import type { Topic, Topics, Version } from "./frames.ts";

/** A topic that is behind: pull what lies after `after`; `version` is the greatest heard of. */
export interface Due {
  topic: Topic;
  after: Version;
  version: Version;
}

/**
 * Which topics are behind, and when each may be pulled. Pure: time is an argument.
 *
 * - A version that is not greater than what is held or already rung changes nothing.
 * - Of several waits of one topic the earliest counts: a newer hint never moves a wait.
 * - One pull a topic at a time; what is rung meanwhile waits for its end.
 */
export class Pulls {
  /** The greatest version heard of. */
  private readonly heads = new Map<Topic, Version>();
  /** The version up to which the application has everything. */
  private readonly held = new Map<Topic, Version>();
  /** When a topic that is behind may be pulled. */
  private readonly waits = new Map<Topic, number>();
  private readonly running = new Set<Topic>();

  /** A hint, or a page of `topics.changes`. */
  ring(topics: Topics, at: number): void {
    for (const [topic, version] of Object.entries(topics)) {
      if (version <= this.holds(topic)) continue;
      if (version > (this.heads.get(topic) ?? 0)) this.heads.set(topic, version);
      this.wait(topic, at);
    }
  }

  /** The application has everything of `topic` up to `version`. Versions only grow. */
  have(topic: Topic, version: Version): void {
    if (version > this.holds(topic)) this.held.set(topic, version);
    if (!this.behind(topic)) this.waits.delete(topic);
  }

  holds(topic: Topic): Version {
    return this.held.get(topic) ?? 0;
  }

  /** Takes what may be pulled now; each topic taken must come back through `finished`. */
  take(now: number): Due[] {
    const due: Due[] = [];
    for (const [topic, at] of this.waits) {
      if (at > now || this.running.has(topic)) continue;
      this.waits.delete(topic);
      this.running.add(topic);
      due.push({ topic, after: this.holds(topic), version: this.heads.get(topic) ?? 0 });
    }
    return due;
  }

  /** The pull of `topic` ended. If it is still behind it may be tried again at `retryAt`. */
  finished(topic: Topic, retryAt: number): void {
    this.running.delete(topic);
    if (this.behind(topic)) this.wait(topic, retryAt);
  }

  /** When to look again, if anything waits that is not already being pulled. */
  next(): number | null {
    let earliest: number | null = null;
    for (const [topic, at] of this.waits) {
      if (this.running.has(topic)) continue;
      if (earliest === null || at < earliest) earliest = at;
    }
    return earliest;
  }

  /** The topic is the user's no longer. */
  leave(topic: Topic): void {
    this.heads.delete(topic);
    this.held.delete(topic);
    this.waits.delete(topic);
  }

  /** The server's store is another one: what we held means nothing there. */
  forget(): void {
    this.heads.clear();
    this.held.clear();
    this.waits.clear();
  }

  private behind(topic: Topic): boolean {
    return (this.heads.get(topic) ?? 0) > this.holds(topic);
  }

  private wait(topic: Topic, at: number): void {
    const earlier = this.waits.get(topic);
    if (earlier === undefined || at < earlier) this.waits.set(topic, at);
  }
}
