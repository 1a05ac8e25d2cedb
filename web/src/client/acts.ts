import { fullJitter } from "./backoff.ts";
import { CallError } from "./errors.ts";

/** A change that the user wants made: it carries an idempotency key, so it may be sent until it is answered. */
export interface Act {
  lane: string;
  method: string;
  params: object;
  attempts: number;
  /** Not before this time. */
  at: number;
  resolve(result: unknown): void;
  reject(error: Error): void;
}

/**
 * What is not acknowledged yet, oldest first in each lane. Pure: time is an argument.
 *
 * One act a lane is under way at a time, so that messages of one conversation are appended in the order
 * in which they were written, also when the first is refused for a while.
 */
export class Acts {
  private readonly lanes = new Map<string, Act[]>();
  private readonly running = new Set<Act>();

  add(act: Act): void {
    const lane = this.lanes.get(act.lane);
    if (lane === undefined) this.lanes.set(act.lane, [act]);
    else lane.push(act);
  }

  /** Takes each lane's first act that may be sent now; each must come back through `settled` or `retry`. */
  take(now: number): Act[] {
    const ready = this.first().filter((act) => act.at <= now);
    for (const act of ready) this.running.add(act);
    return ready;
  }

  /** The act was answered for good. */
  settled(act: Act): void {
    this.running.delete(act);
    const lane = this.lanes.get(act.lane)?.filter((other) => other !== act) ?? [];
    if (lane.length === 0) this.lanes.delete(act.lane);
    else this.lanes.set(act.lane, lane);
  }

  /** The act keeps its place and is sent again, with the same key, at `at`. */
  retry(act: Act, at: number): void {
    this.running.delete(act);
    act.attempts += 1;
    act.at = at;
  }

  /** When to look again, if anything waits. */
  next(): number | null {
    const times = this.first().map((act) => act.at);
    return times.length === 0 ? null : Math.min(...times);
  }

  /** Takes everything out, for a client that stops. */
  drain(): Act[] {
    const all = [...this.lanes.values()].flat();
    this.lanes.clear();
    this.running.clear();
    return all;
  }

  private first(): Act[] {
    const heads = [...this.lanes.values()].map((lane) => lane[0]);
    return heads.filter((act): act is Act => act !== undefined && !this.running.has(act));
  }
}

/**
 * The wait before an act is sent again, or `null` when the answer was final. A lost socket or a time-out says
 * nothing about the act; an error says with `retry_after_ms` that the same act may succeed later.
 */
export function retryDelay(error: unknown, attempts: number, random: number): number | null {
  if (!(error instanceof CallError)) return fullJitter(attempts, random);
  if (error.retryAfterMs === undefined) return null;
  return error.retryAfterMs + fullJitter(attempts, random);
}
