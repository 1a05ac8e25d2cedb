import { Acts, retryDelay } from "./acts.ts";
import type { Act } from "./acts.ts";
import type { Clock } from "./clock.ts";
import { Stopped } from "./errors.ts";

type Call = (method: string, params: object) => Promise<unknown>;

/** Sends what the user wants done until it is answered, across sockets, always with the same key. */
export class Sender {
  private readonly acts = new Acts();
  private open = false;
  private cancelFlush = () => {};

  constructor(
    private readonly call: Call,
    private readonly clock: Clock,
    private readonly random: () => number,
  ) {}

  /** `params` carry the idempotency key. Resolves with the result, rejects with a final `CallError`. */
  act(lane: string, method: string, params: object): Promise<unknown> {
    return new Promise((resolve, reject) => {
      this.acts.add({ lane, method, params, attempts: 0, at: this.clock.now(), resolve, reject });
      this.flush();
    });
  }

  opened(): void {
    this.open = true;
    this.flush();
  }

  lost(): void {
    this.open = false;
    this.cancelFlush();
  }

  stop(): void {
    this.lost();
    for (const act of this.acts.drain()) act.reject(new Stopped());
  }

  private flush(): void {
    this.cancelFlush();
    if (!this.open) return;
    for (const act of this.acts.take(this.clock.now())) void this.send(act);
    const next = this.acts.next();
    if (next === null) return;
    this.cancelFlush = this.clock.after(Math.max(0, next - this.clock.now()), () => this.flush());
  }

  private async send(act: Act): Promise<void> {
    try {
      const result = await this.call(act.method, act.params);
      this.acts.settled(act);
      act.resolve(result);
    } catch (error) {
      this.failed(act, error);
    }
    this.flush();
  }

  private failed(act: Act, error: unknown): void {
    // A lost socket was not the act's fault, and the way back is jittered already: at once on the next one.
    const delay = this.open ? retryDelay(error, act.attempts, this.random()) : 0;
    if (delay !== null) return this.acts.retry(act, this.clock.now() + delay);
    this.acts.settled(act);
    act.reject(error as Error);
  }
}
