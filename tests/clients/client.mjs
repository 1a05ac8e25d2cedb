// A client of one socket, in either encoding, that keeps what it receives until somebody asks for it.
import { decode, encode } from "@msgpack/msgpack";
import { WebSocket } from "ws";
import { within } from "./server.mjs";

const WAIT_MS = 15_000;

export const encodings = ["json", "msgpack"];

/** The conversations' logs alone: an inbox moves when a change is announced, which a crash may repeat. */
export function ofConversations(topics) {
  return Object.fromEntries(Object.entries(topics).filter(([topic]) => topic.startsWith("conversation:")));
}

export class Client {
  #socket;
  #encoding;
  #frames = [];
  #waiting = [];
  #calls = 0;

  constructor(url, encoding, headers = {}) {
    this.#encoding = encoding;
    this.#socket = new WebSocket(url, [`doorbell.v1.${encoding}`], { headers });
    this.opened = new Promise((resolve, reject) => {
      this.#socket.once("open", resolve);
      this.#socket.once("error", reject);
    });
    this.closed = new Promise((resolve) => {
      this.#socket.once("close", (code, reason) => resolve({ code, reason: reason.toString() }));
    });
    this.#socket.on("error", () => {});
    this.#socket.on("message", (data, binary) => this.#receive(data, binary));
  }

  /** A session: the socket is open and the welcome is in `welcome`. */
  static async session(server, user, encoding, hello = {}) {
    const client = new Client(server.wsUrl, encoding);
    await within(WAIT_MS, "the upgrade", client.opened);
    client.send({ type: "hello", token: server.token(user), ...hello });
    client.welcome = await client.next("welcome");
    return client;
  }

  get subprotocol() {
    return this.#socket.protocol;
  }

  send(frame) {
    this.#socket.send(this.#encoding === "json" ? JSON.stringify(frame) : encode(frame));
  }

  /** Sends bytes as they are, as a text or a binary message. */
  raw(data, binary) {
    this.#socket.send(data, { binary });
  }

  /** The first frame of `type`, received already or still to come, for which `fits` holds. */
  next(type, fits = () => true) {
    const matches = (frame) => frame.type === type && fits(frame);
    const at = this.#frames.findIndex(matches);
    if (at >= 0) return Promise.resolve(this.#frames.splice(at, 1)[0]);
    const coming = new Promise((resolve) => this.#waiting.push({ matches, resolve }));
    return within(WAIT_MS, `a frame of type ${type}`, coming);
  }

  /** A hint that `topic` has reached at least `version`. */
  async hinted(topic, version) {
    const hint = await this.next("hint", (frame) => (frame.topics[topic] ?? 0) >= version);
    return hint.topics[topic];
  }

  /** The whole reply. */
  async reply(method, params = {}) {
    const id = ++this.#calls;
    this.send({ type: "call", id, method, params });
    return this.next("reply", (frame) => frame.id === id);
  }

  /** The result of a call that has to succeed. */
  async call(method, params = {}) {
    const { result, error } = await this.reply(method, params);
    if (error) throw new Error(`${method}: ${error.code}: ${error.message}`);
    return result;
  }

  /** Everything that changed since `cursor`, all pages of it. */
  async changes(cursor) {
    const topics = {};
    for (;;) {
      const page = await this.call("topics.changes", cursor === undefined ? {} : { cursor });
      Object.assign(topics, page.topics);
      cursor = page.cursor;
      if (!page.more) return { topics, cursor, reset: page.reset };
    }
  }

  /** How the server ended the session. */
  end() {
    return within(WAIT_MS, "the close", this.closed);
  }

  /** Goes without a word, as a lost network does. */
  drop() {
    this.#socket.terminate();
  }

  close() {
    this.#socket.close(1000);
    return this.end();
  }

  #receive(data, binary) {
    if (binary !== (this.#encoding === "msgpack")) throw new Error("the server answered in the other opcode");
    const frame = binary ? decode(data) : JSON.parse(data.toString());
    const at = this.#waiting.findIndex(({ matches }) => matches(frame));
    if (at < 0) this.#frames.push(frame);
    else this.#waiting.splice(at, 1)[0].resolve(frame);
  }
}
