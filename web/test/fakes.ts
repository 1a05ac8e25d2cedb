/** A clock that moves by hand and a socket whose other end is the test. */
import type { Clock } from "../src/client/clock.ts";
import { Doorbell } from "../src/client/client.ts";
import type { Options, State } from "../src/client/client.ts";
import type { Socket } from "../src/client/link.ts";

interface Timer {
  at: number;
  task(): void;
}

export class FakeClock implements Clock {
  private time = 0;
  private readonly timers = new Set<Timer>();

  now(): number {
    return this.time;
  }

  after(ms: number, task: () => void): () => void {
    const timer = { at: this.time + ms, task };
    this.timers.add(timer);
    return () => this.timers.delete(timer);
  }

  /** Runs what falls due, in order, and lets promises settle after each. */
  async advance(ms: number): Promise<void> {
    const end = this.time + ms;
    await settle();
    for (;;) {
      const due = [...this.timers].filter((timer) => timer.at <= end).sort((a, b) => a.at - b.at)[0];
      if (due === undefined) break;
      this.timers.delete(due);
      this.time = Math.max(this.time, due.at);
      due.task();
      await settle();
    }
    this.time = end;
  }
}

/** Long enough for every chain of promises in these tests. */
export async function settle(): Promise<void> {
  for (let i = 0; i < 50; i++) await Promise.resolve();
}

export interface Frame {
  type: string;
  id?: number;
  method?: string;
  params?: Record<string, unknown>;
  token?: string;
}

/** One socket as the server sees it. */
export class FakeSocket {
  onopen: (() => void) | null = null;
  onmessage: ((event: { data: string }) => void) | null = null;
  onclose: ((event: { code: number; reason: string }) => void) | null = null;
  readonly frames: Frame[] = [];
  closedByClient = false;

  constructor(readonly url: string) {}

  send(data: string): void {
    this.frames.push(JSON.parse(data) as Frame);
  }

  close(): void {
    this.closedByClient = true;
  }

  deliver(frame: object): void {
    this.onmessage?.({ data: JSON.stringify(frame) });
  }

  async welcome(extra: object = {}): Promise<void> {
    this.onopen?.();
    this.deliver({ type: "welcome", session: "s", user: "alice", server_time_ms: 1_000, heartbeat_ms: 25_000, ...extra });
    await settle();
  }

  async end(code: number, reason = ""): Promise<void> {
    this.onclose?.({ code, reason });
    await settle();
  }

  /** The calls of `method` so far. */
  calls(method: string): Frame[] {
    return this.frames.filter((frame) => frame.method === method);
  }

  /** Answers the newest call of `method`. */
  async reply(method: string, result: object): Promise<void> {
    this.deliver({ type: "reply", id: this.calls(method).at(-1)?.id, result });
    await settle();
  }

  async refuse(method: string, error: object): Promise<void> {
    this.deliver({ type: "reply", id: this.calls(method).at(-1)?.id, error });
    await settle();
  }
}

export const NOTHING_NEW = { topics: {}, cursor: "c1", more: false };

/** A client whose sockets, time and chance the test holds. `random` is 1 unless told: each wait is the longest. */
export function harness(options: Partial<Options> = {}) {
  const clock = new FakeClock();
  const sockets: FakeSocket[] = [];
  const states: State[] = [];
  const asked: boolean[] = [];
  const client = new Doorbell({
    url: "ws://home/v1/ws",
    credentials: async (fresh) => {
      asked.push(fresh);
      return { token: `token ${asked.length}` };
    },
    pull: async () => {},
    onState: (state) => states.push(state),
    open: (url) => {
      const socket = new FakeSocket(url);
      sockets.push(socket);
      return socket as unknown as Socket;
    },
    clock,
    random: () => 1,
    ...options,
  });
  const newest = () => sockets.at(-1) as FakeSocket;
  const live = async () => {
    client.start();
    await settle();
    await newest().welcome();
    await newest().reply("topics.changes", NOTHING_NEW);
    return newest();
  };
  return { clock, sockets, states, asked, client, newest, live, state: () => states.at(-1) };
}
