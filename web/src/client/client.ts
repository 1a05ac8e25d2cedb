/**
 * The Doorbell client: one user's session, kept alive. It knows nothing of a page.
 *
 * The server rings (`hint`: topic T has reached version V), the application pulls. This client decides when to
 * connect, with which token, what is behind and when to pull it, and sends what the user wants done until it is
 * acknowledged. The order of a start: socket, `hello`, `welcome`, `topics.changes` with the cursor, pulls.
 */
import { fullJitter } from "./backoff.ts";
import { systemClock } from "./clock.ts";
import type { Clock } from "./clock.ts";
import { Unanswered } from "./errors.ts";
import { Follower } from "./follower.ts";
import { SUBPROTOCOL } from "./frames.ts";
import type { ClientFrame, ErrorFrame, Goaway, Hint, Limits, ServerFrame, Signal, Topic, Topics, Version, Welcome } from "./frames.ts";
import { Link } from "./link.ts";
import type { Direction, LinkHooks, Socket } from "./link.ts";
import type { ParamsOf, ResultOf } from "./methods.ts";
import type { Due } from "./pulls.ts";
import { Sender } from "./sender.ts";
import { Sync } from "./sync.ts";
import { verdict } from "./verdict.ts";
import type { StopReason } from "./verdict.ts";

export type State =
  | { name: "connecting" }
  | { name: "catching up" }
  /** `moving`: the server said that it is leaving; a new socket is on its way while this one works. */
  | { name: "live"; moving: boolean }
  | { name: "waiting"; forMs: number }
  | { name: "stopped"; why: StopReason | "no token" | "left"; detail: string };

export interface Credentials {
  token: string;
  /** On the server's clock. */
  expiresAtMs?: number;
}

/** Thrown by `credentials` where asking again cannot help: the client stops. */
export class NoToken extends Error {}

export interface Options {
  url: string;
  device?: string;
  client?: string;
  /** A token; `fresh` means that the last one no longer does. */
  credentials(fresh: boolean): Promise<Credentials>;
  /** Pull these topics and say with `have` how far you got. */
  pull(due: Due[]): Promise<void>;
  onState?(state: State): void;
  /** The session is registered under this name; the limits are the server's, where it names them. */
  onWelcome?(user: string, limits: Limits | undefined): void;
  /** The server's store is another one: forget everything that was pulled. */
  onReset?(): void;
  /** These topics are no longer the user's. */
  onGone?(topics: Topic[]): void;
  onSignal?(signal: Signal): void;
  /** The server refused a frame that is not answered otherwise: a signal, most likely. */
  onError?(error: ErrorFrame): void;
  onFrame?(direction: Direction, frame: ClientFrame | ServerFrame): void;
  /** A socket is gone, `welcomed` or before it came to that; what the client does about it, `onState` says. */
  onClosed?(code: number, reason: string, welcomed: boolean): void;
  open?(url: string, subprotocol: string): Socket;
  clock?: Clock;
  random?(): number;
}

/** A session that lasted this long was no false start: the backoff begins anew. */
export const STEADY_MS = 10_000;
/** A token is renewed when this part of its life is over. */
const RENEW_AT = 0.8;
const RENEW_RETRY_MS = 15_000;

export class Doorbell {
  private readonly clock: Clock;
  private readonly random: () => number;
  private readonly sync: Sync;
  private readonly sender: Sender;
  private readonly follower: Follower;
  private state: State = { name: "stopped", why: "left", detail: "not started" };
  /** The link that has its welcome. */
  private current: Link | null = null;
  /** The link that has not, yet. */
  private next: Link | null = null;
  /** Counts tries to connect, so that a token which arrives late starts nothing. */
  private tries = 0;
  private failures = 0;
  private calls = 0;
  private credentials: Credentials | null = null;
  private goaway: Goaway | null = null;
  private retryAt: number | null = null;
  private cancelRetry = () => {};
  private cancelSteady = () => {};
  private cancelRenewal = () => {};
  private cancelRepeat = () => {};

  constructor(private readonly options: Options) {
    this.clock = options.clock ?? systemClock;
    this.random = options.random ?? Math.random;
    this.sender = new Sender((method, params) => this.call(method, params), this.clock, this.random);
    this.sync = this.makeSync();
    this.follower = this.makeFollower();
  }

  start(): void {
    void this.connect(false);
  }

  stop(): void {
    this.halt("left", "");
  }

  /** One call on the live socket; rejects with `Unanswered` if there is none or it goes before the answer. */
  call<M extends string>(method: M, params: ParamsOf<M>): Promise<ResultOf<M>> {
    if (this.current === null) return Promise.reject(new Unanswered("not connected"));
    return this.current.call(method, params) as Promise<ResultOf<M>>;
  }

  /** A call that may be repeated: sent until it is answered, in order within its lane. */
  act<M extends string>(lane: string, method: M, params: ParamsOf<M>): Promise<ResultOf<M>> {
    return this.sender.act(lane, method, params) as Promise<ResultOf<M>>;
  }

  /** The application has everything of `topic` up to `version`. */
  have(topic: Topic, version: Version): void {
    this.sync.have(topic, version);
  }

  /** `topic` is known to have reached `version`: pull it as if it had been hinted. */
  ring(topic: Topic, version: Version): void {
    this.sync.ring({ [topic]: version });
  }

  /** Follow exactly these beside the user's own conversations; they are hinted and pulled like those. */
  follow(topics: Iterable<Topic>): void {
    this.follower.want(topics);
  }

  /** To the others who are online, now or not at all: without a session it is dropped. */
  signal(topic: Topic, data: object): void {
    this.current?.signal(topic, data);
  }

  /** The window came back to the front, or the network did: look now instead of waiting. */
  nudge(): void {
    if (this.state.name === "waiting") void this.connect(false);
    this.current?.probe();
    this.sync.check();
  }

  private makeSync(): Sync {
    const hooks = {
      call: (method: string, params: object) => this.call(method, params),
      pull: (due: Due[]) => this.options.pull(due),
      reset: () => {
        this.options.onReset?.();
        this.follower.repeat();
      },
      gone: (topics: Topic[]) => this.options.onGone?.(topics),
      caughtUp: () => this.setState({ name: "live", moving: this.goaway !== null }),
    };
    return new Sync(hooks, this.clock, this.random);
  }

  private makeFollower(): Follower {
    const lost = () => Promise.reject(new Unanswered("not connected"));
    const hooks = {
      subscribe: (topics: Topics) => this.current?.subscribe(topics) ?? lost(),
      unsubscribe: (topics: Topic[]) => this.current?.unsubscribe(topics) ?? lost(),
      holds: (topic: Topic) => this.sync.holds(topic),
      ring: (topics: Topics) => this.sync.ring(topics),
    };
    return new Follower(hooks, this.clock, this.random);
  }

  private async connect(fresh: boolean): Promise<void> {
    const thisTry = ++this.tries;
    this.cancelRetry();
    this.retryAt = null;
    if (this.current === null) this.setState({ name: "connecting" });
    try {
      const credentials = await this.options.credentials(fresh);
      if (thisTry !== this.tries) return;
      this.credentials = credentials;
      this.next = this.openLink(credentials.token);
    } catch (error) {
      if (thisTry !== this.tries) return;
      if (error instanceof NoToken) this.halt("no token", error.message);
      else this.retryAfter(this.backoff(), fresh);
    }
  }

  private openLink(token: string): Link {
    const { options } = this;
    const hello: ClientFrame = { type: "hello", token };
    if (options.device !== undefined) hello.device = options.device;
    if (options.client !== undefined) hello.client = options.client;
    const url = this.goaway?.url ?? options.url;
    const socket = (options.open ?? openWebSocket)(url, SUBPROTOCOL);
    return new Link(socket, hello, this.linkHooks(), this.clock, () => ++this.calls);
  }

  private linkHooks(): LinkHooks {
    return {
      welcome: (link, frame) => this.welcomed(link, frame),
      hint: (frame) => this.hinted(frame),
      signal: (frame) => this.options.onSignal?.(frame),
      error: (frame) => this.options.onError?.(frame),
      goaway: (link, frame) => this.leaving(link, frame),
      closed: (link, code, reason) => this.closed(link, code, reason),
      trace: (direction, frame) => this.options.onFrame?.(direction, redacted(frame)),
    };
  }

  private welcomed(link: Link, frame: Welcome): void {
    if (link === this.current) return;
    if (link !== this.next) return link.drop("not needed any more");
    const old = this.current;
    this.current = link;
    this.next = null;
    this.goaway = null;
    // Only now: the old link worked until the new one was registered, so no hint fell between them.
    old?.leave();
    this.cancelSteady();
    this.cancelSteady = this.clock.after(STEADY_MS, () => (this.failures = 0));
    this.renewToken(link, frame.server_time_ms);
    this.options.onWelcome?.(frame.user, frame.limits);
    this.setState({ name: "catching up" });
    this.sync.opened(frame.heartbeat_ms);
    this.sender.opened();
    this.follower.opened(frame.limits?.subscriptions ?? 0);
  }

  private hinted(frame: Hint): void {
    this.sync.hint(frame);
    if (frame.more !== true && frame.resync !== true) return;
    this.cancelRepeat();
    this.cancelRepeat = this.clock.after(frame.pull_after_ms ?? 0, () => this.follower.repeat());
  }

  private leaving(link: Link, frame: Goaway): void {
    if (link !== this.current || this.goaway !== null) return;
    this.goaway = frame;
    if (this.state.name === "live") this.setState({ name: "live", moving: true });
    this.retryAfter(frame.reconnect_after_ms, false);
  }

  private closed(link: Link, code: number, reason: string): void {
    const welcomed = link === this.current;
    if (link === this.next) {
      this.next = null;
      // A gateway that was named and does not answer is not asked twice.
      if (this.goaway !== null) delete this.goaway.url;
    } else if (welcomed) {
      this.currentLost();
    } else return;
    this.options.onClosed?.(code, reason, welcomed);
    this.decide(code, reason);
  }

  private decide(code: number, reason: string): void {
    if (this.next !== null || this.retryAt !== null) return this.showWait();
    const decision = verdict(code);
    if (decision.come === "never") this.halt(decision.why, reason);
    else this.retryAfter(this.backoff(), decision.come === "back with a fresh token");
  }

  private currentLost(): void {
    this.current = null;
    this.cancelSteady();
    this.cancelRenewal();
    this.cancelRepeat();
    this.sync.lost();
    this.sender.lost();
    this.follower.lost();
  }

  private backoff(): number {
    return fullJitter(this.failures++, this.random());
  }

  private retryAfter(ms: number, fresh: boolean): void {
    this.cancelRetry();
    this.retryAt = this.clock.now() + ms;
    this.cancelRetry = this.clock.after(ms, () => void this.connect(fresh));
    if (this.current === null) this.showWait();
  }

  private showWait(): void {
    if (this.retryAt === null) this.setState({ name: "connecting" });
    else this.setState({ name: "waiting", forMs: Math.max(0, this.retryAt - this.clock.now()) });
  }

  /** Measured on the server's clock: this machine's may be wrong. */
  private renewToken(link: Link, serverNowMs: number): void {
    this.cancelRenewal();
    const expiresAtMs = this.credentials?.expiresAtMs;
    if (expiresAtMs === undefined) return;
    const startedAt = this.clock.now();
    const renew = async () => {
      try {
        this.credentials = await this.options.credentials(true);
        if (link !== this.current) return;
        link.refreshToken(this.credentials.token);
        this.renewToken(link, serverNowMs + this.clock.now() - startedAt);
      } catch {
        // Without a new token the server closes with 4419 in the end, and the way back asks again.
        if (link === this.current) this.cancelRenewal = this.clock.after(RENEW_RETRY_MS, () => void renew());
      }
    };
    const wait = Math.max(1_000, (expiresAtMs - serverNowMs) * RENEW_AT);
    this.cancelRenewal = this.clock.after(wait, () => void renew());
  }

  private halt(why: StopReason | "no token" | "left", detail: string): void {
    this.tries += 1;
    this.cancelRetry();
    this.retryAt = null;
    const links = [this.current, this.next];
    this.currentLost();
    this.next = null;
    for (const link of links) link?.drop("leaving");
    this.sender.stop();
    this.setState({ name: "stopped", why, detail });
  }

  private setState(state: State): void {
    this.state = state;
    this.options.onState?.(state);
  }
}

function openWebSocket(url: string, subprotocol: string): Socket {
  return new WebSocket(url, subprotocol);
}

/** A token is shown to nobody, whatever a trace is used for. */
function redacted(frame: ClientFrame | ServerFrame): ClientFrame | ServerFrame {
  return "token" in frame ? { ...frame, token: "…" } : frame;
}
