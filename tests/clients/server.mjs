// The real server, for tests: started on a free port with a data directory of its own, and ended by its own pid.
import { execFileSync, spawn } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";

const READY = /^doorbell ready on (http:\/\/\S+)$/;
const START_MS = 30_000;
const END_MS = 30_000;
/** These clients stay to the end of a drain, and a test need not wait long for it. */
const SETTINGS = { DOORBELL_SHUTDOWN__MOVE_BUDGET: "2s" };

function binary() {
  const path = process.env.DOORBELL_BIN;
  if (!path) throw new Error("DOORBELL_BIN must name the doorbell binary");
  return path;
}

/** Polls until `condition` gives something, for at most `ms`; the failure says what was waited for. */
export async function until(what, condition, ms = 20_000) {
  const end = Date.now() + ms;
  for (;;) {
    const found = await condition();
    if (found) return found;
    if (Date.now() > end) throw new Error(`waited ${ms} ms in vain: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 25));
  }
}

/** Settles as `promise` does, or rejects after `ms` and says what was waited for. */
export async function within(ms, what, promise) {
  let timer;
  const late = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Error(`waited ${ms} ms in vain: ${what}`)), ms);
  });
  return Promise.race([promise, late]).finally(() => clearTimeout(timer));
}

export class Server {
  #child = null;
  #log = [];
  #tokens = new Map();
  #port = 0;

  #settings;

  constructor(settings) {
    this.#settings = settings;
    this.dataDir = mkdtempSync(join(tmpdir(), "doorbell-test-"));
  }

  /** `settings` are environment variables of the server. */
  static async start(settings = {}) {
    const server = new Server(settings);
    await server.start();
    return server;
  }

  /** Starts it, the second time on the port that it had. */
  async start() {
    const args = ["serve", "--listen", `127.0.0.1:${this.#port}`, "--data-dir", this.dataDir];
    const child = spawn(binary(), args, {
      stdio: ["ignore", "pipe", "pipe"],
      env: { ...process.env, ...SETTINGS, ...this.#settings },
    });
    this.#child = child;
    this.ended = new Promise((resolve) => child.once("exit", (code, signal) => resolve({ code, signal })));
    createInterface({ input: child.stderr }).on("line", (line) => this.#log.push(line));
    const ready = new Promise((resolve, reject) => {
      createInterface({ input: child.stdout }).on("line", (line) => {
        const found = READY.exec(line);
        if (found) resolve(found[1]);
      });
      child.once("error", reject);
      child.once("exit", (code) => reject(new Error(`the server ended with ${code}:\n${this.#log.join("\n")}`)));
    });
    this.url = await within(START_MS, "the server's ready line", ready);
    this.#port = Number(new URL(this.url).port);
  }

  get wsUrl() {
    return `${this.url.replace(/^http/, "ws")}/v1/ws`;
  }

  get log() {
    return this.#log.join("\n");
  }

  /** A token made by the binary's own command, beside the running server. */
  token(user) {
    if (!this.#tokens.has(user)) this.#tokens.set(user, this.shortToken(user, "1h"));
    return this.#tokens.get(user);
  }

  /** A token that ends soon. */
  shortToken(user, ttl) {
    const args = ["token", user, "--ttl", ttl, "--data-dir", this.dataDir];
    return execFileSync(binary(), args, { encoding: "utf8" }).trim();
  }

  /** One call over HTTP: the result, or the error object in `error`. */
  async post(user, method, params) {
    const response = await fetch(`${this.url}/v1/call/${method}`, {
      method: "POST",
      headers: { Authorization: `Bearer ${this.token(user)}`, "Content-Type": "application/json" },
      body: JSON.stringify(params),
    });
    return { status: response.status, ...(response.ok ? { result: await response.json() } : await response.json()) };
  }

  /** One call over HTTP that has to succeed. */
  async call(user, method, params) {
    const { status, result, error } = await this.post(user, method, params);
    if (error) throw new Error(`${method} for ${user}: ${status} ${error.code}: ${error.message}`);
    return result;
  }

  /** As a crash would: no warning, nothing written down. */
  async kill() {
    this.#child.kill("SIGKILL");
    await this.ended;
  }

  /** Asks it to end in order. */
  terminate() {
    this.#child.kill("SIGTERM");
  }

  /** Ends it whatever state it is in, and removes its data. */
  async dispose() {
    if (this.#child !== null && this.#child.exitCode === null && this.#child.signalCode === null) {
      this.#child.kill("SIGTERM");
      await within(END_MS, "the server's end", this.ended).catch(() => this.kill());
    }
    rmSync(this.dataDir, { recursive: true, force: true });
  }
}
