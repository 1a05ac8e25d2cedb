import type { Clock } from "./clock.ts";
import { CallError, Unanswered } from "./errors.ts";
import { parseFrame } from "./frames.ts";
import type { ClientFrame, ErrorFrame, Goaway, Hint, Reply, ServerFrame, Signal, Topic, Topics, Welcome } from "./frames.ts";

/** As much of a WebSocket as is used here. */
export type Socket = Pick<WebSocket, "onopen" | "onmessage" | "onclose" | "send" | "close">;

export type Direction = "sent" | "received";

export interface LinkHooks {
  welcome(link: Link, frame: Welcome): void;
  hint(frame: Hint): void;
  signal(frame: Signal): void;
  /** About a frame of this client that has no id. */
  error(frame: ErrorFrame): void;
  goaway(link: Link, frame: Goaway): void;
  /** Said once. After it the link does nothing more. */
  closed(link: Link, code: number, reason: string): void;
  trace(direction: Direction, frame: ClientFrame | ServerFrame): void;
}

interface Pending {
  resolve(result: unknown): void;
  reject(error: Error): void;
  cancelTimeout(): void;
}

export const WELCOME_TIMEOUT_MS = 15_000;
export const CALL_TIMEOUT_MS = 15_000;
export const PONG_TIMEOUT_MS = 10_000;
/** How long a link that was replaced waits for the answers still under way. */
export const LEAVE_TIMEOUT_MS = 5_000;

/** One socket, from the upgrade to its close: says hello, matches replies with calls, notices silence. */
export class Link {
  private readonly calls = new Map<number, Pending>();
  private over = false;
  private leaving = false;
  private heartbeatMs = 25_000;
  private heardAt: number;
  private cancelTimer: () => void;

  constructor(
    private readonly socket: Socket,
    hello: ClientFrame,
    private readonly hooks: LinkHooks,
    private readonly clock: Clock,
    private readonly nextId: () => number,
  ) {
    this.heardAt = clock.now();
    this.cancelTimer = clock.after(WELCOME_TIMEOUT_MS, () => this.drop("no welcome in time"));
    socket.onopen = () => this.send(hello);
    socket.onmessage = (event) => this.receive(event.data);
    socket.onclose = (event) => this.end(event.code, event.reason);
  }

  /** Sends a call; rejects with `CallError` when it is refused, with `Unanswered` when nothing came back. */
  call(method: string, params: object): Promise<unknown> {
    return this.ask(method, (id) => ({ type: "call", id, method, params }));
  }

  subscribe(topics: Topics): Promise<unknown> {
    return this.ask("subscribe", (id) => ({ type: "subscribe", id, topics }));
  }

  unsubscribe(topics: Topic[]): Promise<unknown> {
    return this.ask("unsubscribe", (id) => ({ type: "unsubscribe", id, topics }));
  }

  signal(topic: Topic, data: object): void {
    this.send({ type: "signal", topic, data });
  }

  refreshToken(token: string): void {
    this.send({ type: "token", token });
  }

  /** Asks for a sign of life now; a socket that gives none is dropped. */
  probe(): void {
    if (this.over) return;
    this.cancelTimer();
    const askedAt = this.clock.now();
    this.send({ type: "ping" });
    this.cancelTimer = this.clock.after(PONG_TIMEOUT_MS, () => {
      if (this.heardAt < askedAt) this.drop("no sign of life");
      else this.watch();
    });
  }

  /** Another link has taken over: closes as soon as the calls under way are answered. */
  leave(): void {
    this.leaving = true;
    this.cancelTimer();
    this.cancelTimer = this.clock.after(LEAVE_TIMEOUT_MS, () => this.drop("replaced"));
    this.leaveIfDone();
  }

  /** Closes at once, without waiting for the other side. */
  drop(reason: string): void {
    if (this.over) return;
    this.socket.onclose = null;
    this.socket.onmessage = null;
    this.socket.onopen = null;
    this.socket.close(1000, reason);
    this.end(1006, reason);
  }

  /** Sends a frame that is answered by one reply. */
  private ask(what: string, frame: (id: number) => ClientFrame): Promise<unknown> {
    if (this.over) return Promise.reject(new Unanswered("the socket is closed"));
    const id = this.nextId();
    return new Promise((resolve, reject) => {
      const cancelTimeout = this.clock.after(CALL_TIMEOUT_MS, () => {
        this.calls.delete(id);
        reject(new Unanswered(`${what} was not answered in time`));
        this.leaveIfDone();
      });
      this.calls.set(id, { resolve, reject, cancelTimeout });
      this.send(frame(id));
    });
  }

  private leaveIfDone(): void {
    if (this.leaving && this.calls.size === 0) this.drop("replaced");
  }

  private send(frame: ClientFrame): void {
    if (this.over) return;
    this.hooks.trace("sent", frame);
    this.socket.send(JSON.stringify(frame));
  }

  private receive(data: unknown): void {
    if (this.over) return;
    this.heardAt = this.clock.now();
    const frame = typeof data === "string" ? parseFrame(data) : null;
    if (frame === null) return;
    this.hooks.trace("received", frame);
    if (frame.type === "welcome") this.welcomed(frame);
    else if (frame.type === "hint") this.hooks.hint(frame);
    else if (frame.type === "reply") this.answer(frame);
    else if (frame.type === "signal") this.hooks.signal(frame);
    else if (frame.type === "error") this.hooks.error(frame);
    else if (frame.type === "goaway") this.hooks.goaway(this, frame);
  }

  private welcomed(frame: Welcome): void {
    if (frame.heartbeat_ms > 0) this.heartbeatMs = frame.heartbeat_ms;
    this.watch();
    this.hooks.welcome(this, frame);
  }

  private answer(reply: Reply): void {
    const pending = typeof reply.id === "number" ? this.calls.get(reply.id) : undefined;
    if (pending === undefined) return;
    this.calls.delete(reply.id as number);
    pending.cancelTimeout();
    // A field that is null is a field that is absent.
    if (reply.error == null) pending.resolve(reply.result);
    else pending.reject(new CallError(reply.error));
    this.leaveIfDone();
  }

  /** A page does not see WebSocket pings, so a socket that was silent for a heartbeat is asked. */
  private watch(): void {
    this.cancelTimer();
    const silentFor = this.clock.now() - this.heardAt;
    this.cancelTimer = this.clock.after(Math.max(0, this.heartbeatMs - silentFor), () => {
      if (this.clock.now() - this.heardAt >= this.heartbeatMs) this.probe();
      else this.watch();
    });
  }

  private end(code: number, reason: string): void {
    if (this.over) return;
    this.over = true;
    this.cancelTimer();
    for (const pending of this.calls.values()) {
      pending.cancelTimeout();
      pending.reject(new Unanswered("the socket closed before the answer"));
    }
    this.calls.clear();
    this.hooks.closed(this, code, reason);
  }
}
