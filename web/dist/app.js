// src/chat/conversation.ts
function merged(known, summary) {
  const fresh = {
    id: summary.conversation,
    topic: summary.topic,
    title: summary.title ?? null,
    members: summary.members ?? known?.members ?? [],
    version: summary.version,
    read: summary.read,
    unread: summary.unread,
    muted: summary.muted ?? false,
    last: summary.last ?? null,
    updatedAtMs: summary.updated_at_ms,
    log: known?.log ?? null,
    pending: known?.pending ?? []
  };
  if (known === void 0) return fresh;
  if (known.version > summary.version) {
    const { version, last, updatedAtMs } = known;
    Object.assign(fresh, { version, last, updatedAtMs });
    fresh.unread = known.unread;
  }
  if (known.read > summary.read) {
    fresh.read = known.read;
    fresh.unread = known.read >= fresh.version ? 0 : Math.min(known.unread, fresh.unread);
  }
  return fresh;
}
function advanced(known, log, me) {
  const from = Math.max(known.version, known.read);
  const fresh = log.entries.filter((entry) => entry.version > from);
  const unread = fresh.filter((entry) => entry.kind === "message" && entry.from !== me).length;
  const newest = log.entries.at(-1);
  const next = { ...known, log };
  if (newest === void 0 || newest.version <= known.version) return next;
  return {
    ...next,
    version: newest.version,
    last: newest,
    updatedAtMs: newest.sent_at_ms,
    unread: known.unread + unread
  };
}
function nameOf(conversation, me) {
  if (conversation.title !== null && conversation.title !== "") return conversation.title;
  const others = othersIn(conversation, me);
  return others.length > 0 ? others.join(", ") : "Only you";
}
function othersIn(conversation, me) {
  return conversation.members.filter((member) => member !== me);
}
function byRecency(conversations) {
  return [...conversations].sort((a, b) => b.updatedAtMs - a.updatedAtMs || (a.id < b.id ? 1 : -1));
}
function unreadTotal(conversations) {
  let total = 0;
  for (const conversation of conversations) if (!conversation.muted) total += conversation.unread;
  return total;
}

// src/client/errors.ts
var CallError = class extends Error {
  code;
  retryAfterMs;
  constructor(body) {
    super(body.message);
    this.name = "CallError";
    this.code = body.code;
    this.retryAfterMs = body.retry_after_ms;
  }
};
var Unanswered = class extends Error {
  constructor(why) {
    super(why);
    this.name = "Unanswered";
  }
};
var Stopped = class extends Error {
  constructor() {
    super("the client has stopped");
    this.name = "Stopped";
  }
};

// src/chat/book.ts
var Book = class {
  constructor(changed2) {
    this.changed = changed2;
  }
  changed;
  me = "";
  openId = null;
  /** New messages begin after this version: a line is drawn there. */
  dividerAfter = null;
  listLoaded = false;
  /** Where the next page of the list begins, if there is one. */
  listNext = void 0;
  conversations = /* @__PURE__ */ new Map();
  get open() {
    return this.openId === null ? null : this.conversations.get(this.openId) ?? null;
  }
  put(conversation) {
    this.conversations.set(conversation.id, conversation);
    this.changed();
  }
  change(id, step) {
    const now = this.conversations.get(id);
    if (now !== void 0) this.put(step(now));
  }
  /** The server's store is another one: every version is void. What was written and not acknowledged is kept. */
  forgetVersions() {
    for (const [id, conversation] of this.conversations) {
      this.conversations.set(id, { ...conversation, version: 0, read: 0, unread: 0, log: null });
    }
    this.dividerAfter = null;
    this.listLoaded = false;
    this.changed();
  }
};
function conversationOf(topic) {
  return topic.startsWith("conversation:") ? topic.slice("conversation:".length) : null;
}

// src/chat/log.ts
function newestPage(head, messages, more) {
  const first = messages[0];
  const last = messages.at(-1);
  if (first === void 0 || last === void 0) return { after: more ? head : 0, to: head, entries: [] };
  return { after: more ? first.version - 1 : 0, to: last.version, entries: messages };
}
function append(log, messages) {
  const fresh = messages.filter((entry) => entry.version > log.to);
  const last = fresh.at(-1);
  if (last === void 0) return log;
  return { after: log.after, to: last.version, entries: [...log.entries, ...fresh] };
}
function prepend(log, messages, more) {
  const older = messages.filter((entry) => entry.version <= log.after);
  const first = older[0];
  const after = more && first !== void 0 ? first.version - 1 : 0;
  return { after, to: log.to, entries: [...older, ...log.entries] };
}
function shown(entries) {
  const byVersion = /* @__PURE__ */ new Map();
  for (const entry of entries) {
    const target = entry.of === void 0 ? void 0 : byVersion.get(entry.of);
    if (entry.kind === "message" || entry.kind === "rename") {
      byVersion.set(entry.version, asShown(entry, entry.kind));
    } else if (entry.kind === "edit" && target !== void 0 && !target.deleted) {
      target.text = entry.text ?? target.text;
      target.edited = true;
    } else if (entry.kind === "delete" && target !== void 0) {
      target.text = "";
      target.deleted = true;
    }
  }
  return [...byVersion.values()];
}
function asShown(entry, kind) {
  return {
    version: entry.version,
    kind,
    from: entry.from,
    text: entry.text ?? "",
    sentAtMs: entry.sent_at_ms,
    edited: false,
    deleted: entry.deleted === true
  };
}

// src/chat/reader.ts
var LIST = "window:list";
var LIST_PAGE = 50;
var MESSAGES_PAGE = 50;
var CATCH_UP_PAGE = 200;
var SINGLES_MAX = 2;
var BEHIND_MAX = 2e3;
var Reader = class {
  constructor(book, wire, hooks) {
    this.book = book;
    this.wire = wire;
    this.hooks = hooks;
  }
  book;
  wire;
  hooks;
  pagesShown = 1;
  loadingOlder = false;
  /** The session is live: the list is read once, and what could not be read without it is tried again. */
  live() {
    this.wire.ring(LIST, 1);
    void this.finishOpen().catch(ignoreUntilNextTime);
  }
  reset() {
    this.book.forgetVersions();
    this.wire.ring(LIST, 1);
  }
  /** Pulls what was rung. Rejects where something could not be read; what could is kept. */
  async pull(due) {
    const singles = [];
    let list = false;
    for (const one of due) {
      const id = conversationOf(one.topic);
      if (id === null) list ||= one.topic === LIST || one.topic === `inbox:${this.book.me}`;
      else if (id === this.book.openId) await this.pullOpen(id, one.version);
      else singles.push(one);
    }
    list ||= singles.length > SINGLES_MAX;
    if (list) await this.readList();
    for (const one of singles) if (this.isBehind(one)) await this.readOne(one, list);
    this.leaveOut(due);
  }
  async show(id) {
    const { book } = this;
    book.openId = id;
    const conversation = book.open;
    book.dividerAfter = conversation !== null && conversation.unread > 0 ? conversation.read : null;
    book.changed();
    await this.finishOpen();
  }
  /** Takes over what the server says. The open conversation is held only as far as its messages are. */
  take(summary) {
    const conversation = merged(this.book.conversations.get(summary.conversation), summary);
    this.book.conversations.set(conversation.id, conversation);
    if (conversation.id !== this.book.openId) this.wire.have(conversation.topic, conversation.version);
  }
  async loadOlder() {
    const open = this.book.open;
    if (open === null || open.log === null || open.log.after === 0 || this.loadingOlder) return;
    this.loadingOlder = true;
    try {
      const page2 = await this.readMessages({ conversation: open.id, before: open.log.after + 1, limit: MESSAGES_PAGE });
      this.book.change(
        open.id,
        (now) => now.log === null ? now : { ...now, log: prepend(now.log, page2.messages, page2.more) }
      );
    } finally {
      this.loadingOlder = false;
    }
  }
  async loadMoreConversations() {
    if (this.book.listNext === void 0) return;
    const page2 = await this.readListPage(this.book.listNext);
    this.pagesShown += 1;
    for (const summary of page2.conversations) this.take(summary);
    this.book.listNext = page2.next;
    this.book.changed();
  }
  isBehind(due) {
    const id = conversationOf(due.topic);
    return (this.book.conversations.get(id ?? "")?.version ?? 0) < due.version;
  }
  /** What lies on no page that is shown, or is a kind of topic that this window shows nothing of, is not pulled. */
  leaveOut(due) {
    for (const { topic, version } of due) {
      if (!this.book.conversations.has(conversationOf(topic) ?? "")) this.wire.have(topic, version);
    }
  }
  async finishOpen() {
    const open = this.book.open;
    if (open !== null && (open.log === null || open.log.to < open.version)) await this.pullOpen(open.id, open.version);
  }
  async loadNewest(id, version) {
    const head = Math.max(version, this.book.conversations.get(id)?.version ?? 0);
    const params = { conversation: id, before: head + 1, limit: MESSAGES_PAGE };
    const page2 = head === 0 ? { messages: [], more: false } : await this.readMessages(params);
    this.book.change(id, (now) => ({ ...now, log: now.log ?? newestPage(head, page2.messages, page2.more) }));
    const known = this.book.conversations.get(id);
    if (known?.log != null) this.wire.have(known.topic, known.log.to);
  }
  /** Reads everything after what is there, page after page, at least up to `version`. */
  async pullOpen(id, version) {
    const start = this.book.conversations.get(id);
    if (start?.log != null && version - start.log.to > BEHIND_MAX) this.book.put({ ...start, log: null });
    if (this.book.conversations.get(id)?.log === null) await this.loadNewest(id, version);
    for (let more = true; more; ) {
      const after = this.book.conversations.get(id)?.log?.to;
      if (after === void 0 || after >= version) return;
      const page2 = await this.readMessages({ conversation: id, after, limit: CATCH_UP_PAGE });
      this.extend(id, page2.messages);
      more = page2.more;
    }
  }
  extend(id, messages) {
    const { book } = this;
    const known = book.conversations.get(id);
    if (known === void 0 || known.log === null) return;
    const { to } = known.log;
    const fresh = messages.filter((entry) => entry.version > to && entry.from !== book.me);
    if (fresh.length > 0 && known.unread === 0 && id === book.openId && !this.hooks.attentive()) book.dividerAfter = to;
    const log = append(known.log, messages);
    book.put(advanced(known, log, book.me));
    this.wire.have(known.topic, log.to);
    if (fresh.length > 0) this.hooks.arrived(known, fresh);
  }
  /** Reads as many pages of the list as are shown; where that is all, what it lacks is gone. */
  async readList() {
    const { book } = this;
    const before = new Set(book.conversations.keys());
    let next = void 0;
    for (let page2 = 0; page2 < this.pagesShown; page2++) {
      const result = await this.readListPage(next);
      for (const summary of result.conversations) {
        this.take(summary);
        before.delete(summary.conversation);
      }
      next = result.next;
      if (next === void 0) break;
    }
    if (next === void 0) for (const id of before) book.conversations.delete(id);
    book.listNext = next;
    book.listLoaded = true;
    this.wire.have(LIST, 1);
    book.changed();
    await this.finishOpen();
  }
  async readListPage(before) {
    const params = before === void 0 ? { limit: LIST_PAGE } : { limit: LIST_PAGE, before };
    const page2 = await this.wire.call("conversations.list", params);
    return { conversations: page2.conversations, next: page2.next ?? void 0 };
  }
  /** After a list a conversation that no page shows is left alone. */
  async readOne(due, listed) {
    const id = conversationOf(due.topic) ?? "";
    if (listed && !this.book.conversations.has(id)) return;
    try {
      this.take(await this.wire.call("conversations.get", { conversation: id }));
    } catch (error) {
      if (!(error instanceof CallError) || error.code !== "not_found") throw error;
      this.book.conversations.delete(id);
    }
    this.book.changed();
  }
  async readMessages(params) {
    return await this.wire.call("messages.list", params);
  }
};
function ignoreUntilNextTime() {
}

// src/client/key.ts
function newKey(nowMs = Date.now(), random = randomBytes()) {
  const bytes = Uint8Array.from(random);
  for (let i = 0; i < 6; i++) bytes[i] = Math.floor(nowMs / 2 ** (8 * (5 - i))) % 256;
  bytes[6] = 112 | (bytes[6] ?? 0) & 15;
  bytes[8] = 128 | (bytes[8] ?? 0) & 63;
  const hex = Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
  return [hex.slice(0, 8), hex.slice(8, 12), hex.slice(12, 16), hex.slice(16, 20), hex.slice(20)].join("-");
}
function randomBytes() {
  return crypto.getRandomValues(new Uint8Array(16));
}

// src/chat/writer.ts
var Writer = class {
  constructor(book, wire, reader) {
    this.book = book;
    this.wire = wire;
    this.reader = reader;
  }
  book;
  wire;
  reader;
  send(text) {
    if (this.book.openId === null) return;
    this.book.dividerAfter = null;
    this.post(this.book.openId, { key: newKey(), text, writtenAtMs: Date.now(), refused: null });
  }
  /** Sends a refused message once more, as a new one. */
  retry(key) {
    const pending = this.book.open?.pending.find((one) => one.key === key);
    if (pending === void 0) return;
    this.discard(key);
    this.send(pending.text);
  }
  discard(key) {
    const open = this.book.open;
    if (open !== null) this.book.put({ ...open, pending: open.pending.filter((one) => one.key !== key) });
  }
  /** Starts a conversation, or finds the one that this pair already has, and opens it. */
  async create(members, title) {
    const params = { members, key: newKey(), ...title === "" ? {} : { title } };
    const made = await this.wire.act("create", "conversations.create", params);
    const summary = await this.wire.call("conversations.get", { conversation: made.conversation });
    this.reader.take(summary);
    await this.reader.show(made.conversation);
  }
  /** The user looks at the end of the open conversation. */
  seen() {
    const open = this.book.open;
    if (open === null || open.log === null || open.unread === 0 || open.log.to <= open.read) return;
    const version = open.log.to;
    this.book.put({ ...open, read: version, unread: 0 });
    const params = { conversation: open.id, version };
    this.wire.act(`read ${open.id}`, "conversations.mark_read", params).catch(ignoreUntilNextTime);
  }
  post(id, pending) {
    this.book.change(id, (now) => ({ ...now, pending: [...now.pending, pending] }));
    const params = { conversation: id, key: pending.key, text: pending.text };
    this.wire.act(`send ${id}`, "messages.send", params).then(
      (result) => this.acknowledged(id, pending, result),
      (error) => this.refused(id, pending.key, error)
    );
  }
  /** Where nothing lies between, the answer is the log's next entry and saves the pull. */
  acknowledged(id, pending, ack) {
    const { version, sent_at_ms } = ack;
    const entry = { version, kind: "message", id: ack.id, from: this.book.me, text: pending.text, sent_at_ms };
    this.book.change(id, (now2) => {
      const rest = { ...now2, pending: now2.pending.filter((one) => one.key !== pending.key) };
      return now2.log?.to === version - 1 ? advanced(rest, append(now2.log, [entry]), this.book.me) : rest;
    });
    const now = this.book.conversations.get(id);
    if (now === void 0) return;
    if (now.log !== null && now.log.to >= version) this.wire.have(now.topic, now.log.to);
    else this.wire.ring(now.topic, version);
  }
  refused(id, key, error) {
    const why = error instanceof Error ? error.message : String(error);
    this.book.change(id, (now) => ({
      ...now,
      pending: now.pending.map((one) => one.key === key ? { ...one, refused: why } : one)
    }));
  }
};

// src/client/backoff.ts
var BACKOFF_BASE_MS = 500;
var BACKOFF_CAP_MS = 2e4;
function fullJitter(attempt, random) {
  const ceiling = Math.min(BACKOFF_CAP_MS, BACKOFF_BASE_MS * 2 ** Math.min(attempt, 16));
  return Math.floor(random * ceiling);
}

// src/client/clock.ts
var LONGEST_TIMEOUT_MS = 2 ** 31 - 1;
var systemClock = {
  now: () => performance.now(),
  after(ms, task) {
    const timer = setTimeout(task, Math.min(ms, LONGEST_TIMEOUT_MS));
    return () => clearTimeout(timer);
  }
};

// src/client/frames.ts
var SUBPROTOCOL = "doorbell.v1.json";
function parseFrame(text) {
  let value;
  try {
    value = JSON.parse(text);
  } catch {
    return null;
  }
  if (typeof value !== "object" || value === null || Array.isArray(value)) return null;
  return typeof value.type === "string" ? value : null;
}

// src/client/link.ts
var WELCOME_TIMEOUT_MS = 15e3;
var CALL_TIMEOUT_MS = 15e3;
var PONG_TIMEOUT_MS = 1e4;
var LEAVE_TIMEOUT_MS = 5e3;
var Link = class {
  constructor(socket, hello, hooks, clock2, nextId) {
    this.socket = socket;
    this.hooks = hooks;
    this.clock = clock2;
    this.nextId = nextId;
    this.heardAt = clock2.now();
    this.cancelTimer = clock2.after(WELCOME_TIMEOUT_MS, () => this.drop("no welcome in time"));
    socket.onopen = () => this.send(hello);
    socket.onmessage = (event) => this.receive(event.data);
    socket.onclose = (event) => this.end(event.code, event.reason);
  }
  socket;
  hooks;
  clock;
  nextId;
  calls = /* @__PURE__ */ new Map();
  over = false;
  leaving = false;
  heartbeatMs = 25e3;
  heardAt;
  cancelTimer;
  /** Sends a call; rejects with `CallError` when it is refused, with `Unanswered` when nothing came back. */
  call(method, params) {
    if (this.over) return Promise.reject(new Unanswered("the socket is closed"));
    const id = this.nextId();
    return new Promise((resolve, reject) => {
      const cancelTimeout = this.clock.after(CALL_TIMEOUT_MS, () => {
        this.calls.delete(id);
        reject(new Unanswered(`${method} was not answered in time`));
        this.leaveIfDone();
      });
      this.calls.set(id, { resolve, reject, cancelTimeout });
      this.send({ type: "call", id, method, params });
    });
  }
  refreshToken(token) {
    this.send({ type: "token", token });
  }
  /** Asks for a sign of life now; a socket that gives none is dropped. */
  probe() {
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
  leave() {
    this.leaving = true;
    this.cancelTimer();
    this.cancelTimer = this.clock.after(LEAVE_TIMEOUT_MS, () => this.drop("replaced"));
    this.leaveIfDone();
  }
  /** Closes at once, without waiting for the other side. */
  drop(reason) {
    if (this.over) return;
    this.socket.onclose = null;
    this.socket.onmessage = null;
    this.socket.onopen = null;
    this.socket.close(1e3, reason);
    this.end(1006, reason);
  }
  leaveIfDone() {
    if (this.leaving && this.calls.size === 0) this.drop("replaced");
  }
  send(frame) {
    if (this.over) return;
    this.hooks.trace("sent", frame);
    this.socket.send(JSON.stringify(frame));
  }
  receive(data) {
    if (this.over) return;
    this.heardAt = this.clock.now();
    const frame = typeof data === "string" ? parseFrame(data) : null;
    if (frame === null) return;
    this.hooks.trace("received", frame);
    if (frame.type === "welcome") this.welcomed(frame);
    else if (frame.type === "hint") this.hooks.hint(frame);
    else if (frame.type === "reply") this.answer(frame);
    else if (frame.type === "goaway") this.hooks.goaway(this, frame);
  }
  welcomed(frame) {
    if (frame.heartbeat_ms > 0) this.heartbeatMs = frame.heartbeat_ms;
    this.watch();
    this.hooks.welcome(this, frame);
  }
  answer(reply) {
    const pending = typeof reply.id === "number" ? this.calls.get(reply.id) : void 0;
    if (pending === void 0) return;
    this.calls.delete(reply.id);
    pending.cancelTimeout();
    if (reply.error == null) pending.resolve(reply.result);
    else pending.reject(new CallError(reply.error));
    this.leaveIfDone();
  }
  /** A page does not see WebSocket pings, so a socket that was silent for a heartbeat is asked. */
  watch() {
    this.cancelTimer();
    const silentFor = this.clock.now() - this.heardAt;
    this.cancelTimer = this.clock.after(Math.max(0, this.heartbeatMs - silentFor), () => {
      if (this.clock.now() - this.heardAt >= this.heartbeatMs) this.probe();
      else this.watch();
    });
  }
  end(code, reason) {
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
};

// src/client/acts.ts
var Acts = class {
  lanes = /* @__PURE__ */ new Map();
  running = /* @__PURE__ */ new Set();
  add(act) {
    const lane = this.lanes.get(act.lane);
    if (lane === void 0) this.lanes.set(act.lane, [act]);
    else lane.push(act);
  }
  /** Takes each lane's first act that may be sent now; each must come back through `settled` or `retry`. */
  take(now) {
    const ready = this.first().filter((act) => act.at <= now);
    for (const act of ready) this.running.add(act);
    return ready;
  }
  /** The act was answered for good. */
  settled(act) {
    this.running.delete(act);
    const lane = this.lanes.get(act.lane)?.filter((other) => other !== act) ?? [];
    if (lane.length === 0) this.lanes.delete(act.lane);
    else this.lanes.set(act.lane, lane);
  }
  /** The act keeps its place and is sent again, with the same key, at `at`. */
  retry(act, at) {
    this.running.delete(act);
    act.attempts += 1;
    act.at = at;
  }
  /** When to look again, if anything waits. */
  next() {
    const times = this.first().map((act) => act.at);
    return times.length === 0 ? null : Math.min(...times);
  }
  /** Takes everything out, for a client that stops. */
  drain() {
    const all = [...this.lanes.values()].flat();
    this.lanes.clear();
    this.running.clear();
    return all;
  }
  first() {
    const heads = [...this.lanes.values()].map((lane) => lane[0]);
    return heads.filter((act) => act !== void 0 && !this.running.has(act));
  }
};
function retryDelay(error, attempts, random) {
  if (!(error instanceof CallError)) return fullJitter(attempts, random);
  if (error.retryAfterMs === void 0) return null;
  return error.retryAfterMs + fullJitter(attempts, random);
}

// src/client/sender.ts
var Sender = class {
  constructor(call, clock2, random) {
    this.call = call;
    this.clock = clock2;
    this.random = random;
  }
  call;
  clock;
  random;
  acts = new Acts();
  open = false;
  cancelFlush = () => {
  };
  /** `params` carry the idempotency key. Resolves with the result, rejects with a final `CallError`. */
  act(lane, method, params) {
    return new Promise((resolve, reject) => {
      this.acts.add({ lane, method, params, attempts: 0, at: this.clock.now(), resolve, reject });
      this.flush();
    });
  }
  opened() {
    this.open = true;
    this.flush();
  }
  lost() {
    this.open = false;
    this.cancelFlush();
  }
  stop() {
    this.lost();
    for (const act of this.acts.drain()) act.reject(new Stopped());
  }
  flush() {
    this.cancelFlush();
    if (!this.open) return;
    for (const act of this.acts.take(this.clock.now())) void this.send(act);
    const next = this.acts.next();
    if (next === null) return;
    this.cancelFlush = this.clock.after(Math.max(0, next - this.clock.now()), () => this.flush());
  }
  async send(act) {
    try {
      const result = await this.call(act.method, act.params);
      this.acts.settled(act);
      act.resolve(result);
    } catch (error) {
      this.failed(act, error);
    }
    this.flush();
  }
  failed(act, error) {
    const delay = this.open ? retryDelay(error, act.attempts, this.random()) : 0;
    if (delay !== null) return this.acts.retry(act, this.clock.now() + delay);
    this.acts.settled(act);
    act.reject(error);
  }
};

// src/client/pulls.ts
var Pulls = class {
  /** The greatest version heard of. */
  heads = /* @__PURE__ */ new Map();
  /** The version up to which the application has everything. */
  held = /* @__PURE__ */ new Map();
  /** When a topic that is behind may be pulled. */
  waits = /* @__PURE__ */ new Map();
  running = /* @__PURE__ */ new Set();
  /** A hint, or a page of `topics.changes`. */
  ring(topics, at) {
    for (const [topic, version] of Object.entries(topics)) {
      if (version <= this.holds(topic)) continue;
      if (version > (this.heads.get(topic) ?? 0)) this.heads.set(topic, version);
      this.wait(topic, at);
    }
  }
  /** The application has everything of `topic` up to `version`. Versions only grow. */
  have(topic, version) {
    if (version > this.holds(topic)) this.held.set(topic, version);
    if (!this.behind(topic)) this.waits.delete(topic);
  }
  holds(topic) {
    return this.held.get(topic) ?? 0;
  }
  /** Takes what may be pulled now; each topic taken must come back through `finished`. */
  take(now) {
    const due = [];
    for (const [topic, at] of this.waits) {
      if (at > now || this.running.has(topic)) continue;
      this.waits.delete(topic);
      this.running.add(topic);
      due.push({ topic, after: this.holds(topic), version: this.heads.get(topic) ?? 0 });
    }
    return due;
  }
  /** The pull of `topic` ended. If it is still behind it may be tried again at `retryAt`. */
  finished(topic, retryAt) {
    this.running.delete(topic);
    if (this.behind(topic)) this.wait(topic, retryAt);
  }
  /** When to look again, if anything waits that is not already being pulled. */
  next() {
    let earliest = null;
    for (const [topic, at] of this.waits) {
      if (this.running.has(topic)) continue;
      if (earliest === null || at < earliest) earliest = at;
    }
    return earliest;
  }
  /** The server's store is another one: what we held means nothing there. */
  forget() {
    this.heads.clear();
    this.held.clear();
    this.waits.clear();
  }
  behind(topic) {
    return (this.heads.get(topic) ?? 0) > this.holds(topic);
  }
  wait(topic, at) {
    const earlier = this.waits.get(topic);
    if (earlier === void 0 || at < earlier) this.waits.set(topic, at);
  }
};

// src/client/sync.ts
var CHECK_HEARTBEATS = 4;
var UNCHANGED_RETRY_MS = 1e3;
var Sync = class {
  constructor(hooks, clock2, random) {
    this.hooks = hooks;
    this.clock = clock2;
    this.random = random;
  }
  hooks;
  clock;
  random;
  pulls = new Pulls();
  cursor;
  open = false;
  catching = false;
  again = false;
  failures = 0;
  checkMs = 1e5;
  cancelPump = () => {
  };
  cancelCheck = () => {
  };
  /** A session was registered: from now on every change is hinted, and the cursor shows what came before. */
  opened(heartbeatMs) {
    this.open = true;
    this.checkMs = heartbeatMs * CHECK_HEARTBEATS;
    this.check();
  }
  lost() {
    this.open = false;
    this.cancelPump();
    this.cancelCheck();
  }
  hint(frame) {
    const at = this.clock.now() + (frame.pull_after_ms ?? 0);
    this.pulls.ring(frame.topics, at);
    if (frame.more === true || frame.resync === true) this.checkAt(at);
    this.pump();
  }
  have(topic, version) {
    this.pulls.have(topic, version);
  }
  holds(topic) {
    return this.pulls.holds(topic);
  }
  /** Rings by hand: the application learnt of a version in another way than by a hint. */
  ring(topic, version) {
    this.pulls.ring({ [topic]: version }, this.clock.now());
    this.pump();
  }
  /** Asks with the cursor, now. */
  check() {
    if (!this.open) return;
    if (this.catching) this.again = true;
    else void this.catchUp();
  }
  checkAt(at) {
    this.cancelCheck();
    this.cancelCheck = this.clock.after(Math.max(0, at - this.clock.now()), () => this.check());
  }
  async catchUp() {
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
  async readChanges() {
    for (let more = true; more; ) {
      const params = this.cursor === void 0 ? {} : { cursor: this.cursor };
      const page2 = await this.hooks.call("topics.changes", params);
      if (page2.reset === true) this.forget();
      this.pulls.ring(page2.topics, this.clock.now());
      this.cursor = page2.cursor;
      more = page2.more;
    }
    this.hooks.caughtUp();
  }
  forget() {
    this.pulls.forget();
    this.hooks.reset();
  }
  /** Starts the pulls whose time has come. While the cursor is asked they gather, so that one pull serves many. */
  pump() {
    this.cancelPump();
    if (!this.open || this.catching) return;
    const due = this.pulls.take(this.clock.now());
    if (due.length > 0) void this.pull(due);
    const next = this.pulls.next();
    if (next === null) return;
    this.cancelPump = this.clock.after(Math.max(0, next - this.clock.now()), () => this.pump());
  }
  async pull(due) {
    let delay = UNCHANGED_RETRY_MS;
    try {
      await this.hooks.pull(due);
      this.failures = 0;
    } catch (error) {
      delay = this.open ? this.delayAfter(error) : 0;
    }
    const retryAt = this.clock.now() + delay;
    for (const { topic } of due) this.pulls.finished(topic, retryAt);
    this.pump();
  }
  /** Reading is harmless, so even a final error is asked again, ever more slowly: the server may be mended. */
  delayAfter(error) {
    this.failures += 1;
    const random = this.random();
    return retryDelay(error, this.failures, random) ?? fullJitter(this.failures, random);
  }
};

// src/client/verdict.ts
var PROTOCOL_CODES = /* @__PURE__ */ new Set([1002, 1007, 1009]);
function verdict(code) {
  if (code === 4408 || code === 4429) return { come: "back" };
  if (code === 4419) return { come: "back with a fresh token" };
  if (code === 4401) return { come: "never", why: "refused" };
  if (code === 4403) return { come: "never", why: "forbidden" };
  if (code === 4409) return { come: "never", why: "replaced" };
  if (code >= 4400 && code < 4500) return { come: "never", why: "protocol" };
  if (PROTOCOL_CODES.has(code)) return { come: "never", why: "protocol" };
  return { come: "back" };
}

// src/client/client.ts
var NoToken = class extends Error {
};
var STEADY_MS = 1e4;
var RENEW_AT = 0.8;
var RENEW_RETRY_MS = 15e3;
var Doorbell = class {
  constructor(options) {
    this.options = options;
    this.clock = options.clock ?? systemClock;
    this.random = options.random ?? Math.random;
    const call = (method, params) => this.call(method, params);
    this.sender = new Sender(call, this.clock, this.random);
    this.sync = new Sync(
      {
        call,
        pull: (due) => options.pull(due),
        reset: () => options.onReset?.(),
        caughtUp: () => this.setState({ name: "live", moving: this.goaway !== null })
      },
      this.clock,
      this.random
    );
  }
  options;
  clock;
  random;
  sync;
  sender;
  state = { name: "stopped", why: "left", detail: "not started" };
  /** The link that has its welcome. */
  current = null;
  /** The link that has not, yet. */
  next = null;
  /** Counts tries to connect, so that a token which arrives late starts nothing. */
  tries = 0;
  failures = 0;
  calls = 0;
  credentials = null;
  goaway = null;
  retryAt = null;
  cancelRetry = () => {
  };
  cancelSteady = () => {
  };
  cancelRenewal = () => {
  };
  start() {
    void this.connect(false);
  }
  stop() {
    this.halt("left", "");
  }
  /** One call on the live socket; rejects with `Unanswered` if there is none or it goes before the answer. */
  call(method, params) {
    if (this.current === null) return Promise.reject(new Unanswered("not connected"));
    return this.current.call(method, params);
  }
  /** A call that carries its idempotency key in `params`: sent until it is answered, in order within its lane. */
  act(lane, method, params) {
    return this.sender.act(lane, method, params);
  }
  /** The application has everything of `topic` up to `version`. */
  have(topic, version) {
    this.sync.have(topic, version);
  }
  /** `topic` is known to have reached `version`: pull it as if it had been hinted. */
  ring(topic, version) {
    this.sync.ring(topic, version);
  }
  /** The window came back to the front, or the network did: look now instead of waiting. */
  nudge() {
    if (this.state.name === "waiting") void this.connect(false);
    this.current?.probe();
    this.sync.check();
  }
  async connect(fresh) {
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
  openLink(token) {
    const { options } = this;
    const hello = { type: "hello", token };
    if (options.device !== void 0) hello.device = options.device;
    if (options.client !== void 0) hello.client = options.client;
    const url = this.goaway?.url ?? options.url;
    const socket = (options.open ?? openWebSocket)(url, SUBPROTOCOL);
    return new Link(socket, hello, this.linkHooks(), this.clock, () => ++this.calls);
  }
  linkHooks() {
    return {
      welcome: (link2, frame) => this.welcomed(link2, frame),
      hint: (frame) => this.sync.hint(frame),
      goaway: (link2, frame) => this.leaving(link2, frame),
      closed: (link2, code, reason) => this.closed(link2, code, reason),
      trace: (direction, frame) => this.options.onFrame?.(direction, redacted(frame))
    };
  }
  welcomed(link2, frame) {
    if (link2 === this.current) return;
    if (link2 !== this.next) return link2.drop("not needed any more");
    const old = this.current;
    this.current = link2;
    this.next = null;
    this.goaway = null;
    old?.leave();
    this.cancelSteady();
    this.cancelSteady = this.clock.after(STEADY_MS, () => this.failures = 0);
    this.renewToken(link2, frame.server_time_ms);
    this.options.onWelcome?.(frame.user);
    this.setState({ name: "catching up" });
    this.sync.opened(frame.heartbeat_ms);
    this.sender.opened();
  }
  leaving(link2, frame) {
    if (link2 !== this.current || this.goaway !== null) return;
    this.goaway = frame;
    if (this.state.name === "live") this.setState({ name: "live", moving: true });
    this.retryAfter(frame.reconnect_after_ms, false);
  }
  closed(link2, code, reason) {
    const welcomed = link2 === this.current;
    if (link2 === this.next) {
      this.next = null;
      if (this.goaway !== null) delete this.goaway.url;
    } else if (welcomed) {
      this.currentLost();
    } else return;
    this.options.onClosed?.(code, reason, welcomed);
    this.decide(code, reason);
  }
  decide(code, reason) {
    if (this.next !== null || this.retryAt !== null) return this.showWait();
    const decision = verdict(code);
    if (decision.come === "never") this.halt(decision.why, reason);
    else this.retryAfter(this.backoff(), decision.come === "back with a fresh token");
  }
  currentLost() {
    this.current = null;
    this.cancelSteady();
    this.cancelRenewal();
    this.sync.lost();
    this.sender.lost();
  }
  backoff() {
    return fullJitter(this.failures++, this.random());
  }
  retryAfter(ms, fresh) {
    this.cancelRetry();
    this.retryAt = this.clock.now() + ms;
    this.cancelRetry = this.clock.after(ms, () => void this.connect(fresh));
    if (this.current === null) this.showWait();
  }
  showWait() {
    if (this.retryAt === null) this.setState({ name: "connecting" });
    else this.setState({ name: "waiting", forMs: Math.max(0, this.retryAt - this.clock.now()) });
  }
  /** Measured on the server's clock: this machine's may be wrong. */
  renewToken(link2, serverNowMs) {
    this.cancelRenewal();
    const expiresAtMs = this.credentials?.expiresAtMs;
    if (expiresAtMs === void 0) return;
    const startedAt = this.clock.now();
    const renew = async () => {
      try {
        this.credentials = await this.options.credentials(true);
        if (link2 !== this.current) return;
        link2.refreshToken(this.credentials.token);
        this.renewToken(link2, serverNowMs + this.clock.now() - startedAt);
      } catch {
        if (link2 === this.current) this.cancelRenewal = this.clock.after(RENEW_RETRY_MS, () => void renew());
      }
    };
    const wait = Math.max(1e3, (expiresAtMs - serverNowMs) * RENEW_AT);
    this.cancelRenewal = this.clock.after(wait, () => void renew());
  }
  halt(why, detail) {
    this.tries += 1;
    this.cancelRetry();
    this.retryAt = null;
    const links = [this.current, this.next];
    this.currentLost();
    this.next = null;
    for (const link2 of links) link2?.drop("leaving");
    this.sender.stop();
    this.setState({ name: "stopped", why, detail });
  }
  setState(state) {
    this.state = state;
    this.options.onState?.(state);
  }
};
function openWebSocket(url, subprotocol) {
  return new WebSocket(url, subprotocol);
}
function redacted(frame) {
  return "token" in frame ? { ...frame, token: "…" } : frame;
}

// src/session.ts
var Session = class {
  book;
  reader;
  writer;
  doorbell;
  constructor(url, device, tokens, hooks) {
    this.book = new Book(hooks.changed);
    this.doorbell = new Doorbell({
      url,
      device,
      client: "doorbell-web/0.1",
      credentials: tokens,
      pull: (due) => this.reader.pull(due),
      onWelcome: (user) => this.book.me = user,
      onReset: () => this.reader.reset(),
      onFrame: hooks.frame,
      onClosed: hooks.closed,
      onState: (state) => {
        if (state.name === "live") this.reader.live();
        hooks.state(state);
      }
    });
    this.reader = new Reader(this.book, this.doorbell, hooks);
    this.writer = new Writer(this.book, this.doorbell, this.reader);
  }
  start() {
    this.doorbell.start();
  }
  stop() {
    this.doorbell.stop();
  }
  nudge() {
    this.doorbell.nudge();
  }
};

// src/chat/words.ts
var LINK = /https?:\/\/[^\s<>"']+/g;
function pieces(text) {
  const found = [];
  let end = 0;
  for (const match of text.matchAll(LINK)) {
    const link2 = match[0].replace(/[.,;:!?)\]]+$/, "");
    if (match.index > end) found.push({ text: text.slice(end, match.index), href: null });
    found.push({ text: link2, href: link2 });
    end = match.index + link2.length;
  }
  if (end < text.length) found.push({ text: text.slice(end), href: null });
  return found;
}
function namesIn(text, me) {
  const names = text.split(",").map((name) => name.trim());
  return [...new Set(names)].filter((name) => name !== "" && name !== me);
}
function hueOf(name, count2) {
  let hash = 7;
  for (const char of name) hash = (hash * 31 + (char.codePointAt(0) ?? 0)) % 65521;
  return hash % count2;
}
function initialOf(name) {
  const first = [...name.trim()][0] ?? "?";
  return first.toLocaleUpperCase();
}
function lengthOf(text) {
  return [...text].length;
}

// src/ui/dom.ts
function byId(id) {
  const found = document.getElementById(id);
  if (found === null) throw new Error(`the page has no #${id}`);
  return found;
}
function make(tag, className, ...children) {
  const element = document.createElement(tag);
  if (className !== "") element.className = className;
  element.append(...children);
  return element;
}
function button(className, text, onClick) {
  const element = make("button", className, text);
  element.type = "button";
  element.addEventListener("click", onClick);
  return element;
}
function setText(element, text) {
  if (element.textContent !== text) element.textContent = text;
}
function reconcile(parent, items, keyOf, build2, update) {
  const old = /* @__PURE__ */ new Map();
  for (const child of parent.children) old.set(child.dataset.key ?? "", child);
  let place = parent.firstElementChild;
  for (const item of items) {
    const key = keyOf(item);
    const known = old.get(key);
    old.delete(key);
    const element = known ?? build2(item);
    element.dataset.key = key;
    update(element, item);
    if (element === place) place = place.nextElementSibling;
    else parent.insertBefore(element, place);
  }
  for (const gone of old.values()) gone.remove();
}

// src/ui/composer.ts
var LENGTH_MAX = 1e4;
var COUNT_FROM = 500;
var HEIGHT_MAX_PX = 160;
var Composer = class {
  constructor(send) {
    this.send = send;
    byId("composer").addEventListener("submit", (event) => {
      event.preventDefault();
      this.submit();
    });
    this.draft.addEventListener("input", () => this.fit());
    this.draft.addEventListener("keydown", (event) => {
      if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
      event.preventDefault();
      this.submit();
    });
  }
  send;
  draft = byId("draft");
  drafts = /* @__PURE__ */ new Map();
  openId = null;
  /** Changes to another conversation's draft. */
  open(id) {
    if (id === this.openId) return;
    if (this.openId !== null) this.drafts.set(this.openId, this.draft.value);
    this.openId = id;
    this.draft.value = id === null ? "" : this.drafts.get(id) ?? "";
    this.fit();
  }
  submit() {
    const text = this.draft.value.trim();
    if (text === "" || lengthOf(text) > LENGTH_MAX) return;
    this.draft.value = "";
    this.fit();
    this.send(text);
  }
  fit() {
    const { draft } = this;
    draft.style.height = "auto";
    draft.style.height = `${Math.min(draft.scrollHeight, HEIGHT_MAX_PX)}px`;
    const left = LENGTH_MAX - lengthOf(draft.value.trim());
    const over = left < 0;
    setText(byId("draft-left"), over ? `${-left} too many` : left <= COUNT_FROM ? `${left} left` : "");
    draft.setAttribute("aria-invalid", String(over));
  }
};

// src/ui/dialog.ts
var NewDialog = class {
  constructor(hooks) {
    this.hooks = hooks;
    byId("new").addEventListener("click", () => this.show());
    byId("new-cancel").addEventListener("click", () => this.dialog.close());
    this.members.addEventListener("input", () => this.fit());
    byId("new-form").addEventListener("submit", (event) => {
      event.preventDefault();
      void this.submit();
    });
  }
  hooks;
  dialog = byId("new-dialog");
  members = byId("new-members");
  title = byId("new-name");
  show() {
    this.members.value = "";
    this.title.value = "";
    setText(byId("new-error"), "");
    this.fit();
    this.busy(false);
    this.dialog.showModal();
    this.members.focus();
  }
  /** A title is for more than two. */
  fit() {
    byId("new-title-field").hidden = this.names().length < 2;
  }
  names() {
    return namesIn(this.members.value, this.hooks.me());
  }
  async submit() {
    const names = this.names();
    if (names.length === 0) return setText(byId("new-error"), "Name somebody other than yourself.");
    this.busy(true);
    setText(byId("new-error"), "");
    try {
      await this.hooks.create(names, names.length > 1 ? this.title.value.trim() : "");
      this.dialog.close();
      this.hooks.created();
    } catch (error) {
      setText(byId("new-error"), error instanceof Error ? error.message : String(error));
    }
    this.busy(false);
  }
  busy(busy) {
    const submit = byId("new-submit");
    submit.disabled = busy;
    setText(submit, busy ? "Starting…" : "Start");
  }
};

// src/ui/layout.ts
var WIDE = matchMedia("(min-width: 1100px)");
var PHONE = matchMedia("(max-width: 719px)");
var OPENED = "thread";
var Layout = class {
  app = byId("app");
  toggle = byId("wire-toggle");
  constructor(back) {
    this.toggle.addEventListener("click", () => this.setWire(this.app.dataset.wire !== "open"));
    byId("wire-close").addEventListener("click", () => {
      this.setWire(false);
      this.toggle.focus();
    });
    document.addEventListener("keydown", (event) => {
      if (event.key === "Escape" && !WIDE.matches && this.app.dataset.wire === "open") this.setWire(false);
    });
    byId("back").addEventListener("click", () => history.state === OPENED ? history.back() : back());
    addEventListener("popstate", () => {
      if (this.app.dataset.view === "thread" && history.state !== OPENED) back();
    });
  }
  /** Where there is room the panel is open from the start: it is what this page is for. */
  show() {
    this.app.hidden = false;
    this.setWire(WIDE.matches);
  }
  hide() {
    this.app.hidden = true;
  }
  setView(view) {
    const before = this.app.dataset.view;
    this.app.dataset.view = view;
    if (view === "thread" && before !== "thread" && PHONE.matches) history.pushState(OPENED, "");
  }
  /** Ready to write; on a phone that would bring up the keyboard before anything is read. */
  focusThread() {
    byId(PHONE.matches ? "thread-title" : "draft").focus();
  }
  setWire(open) {
    this.app.dataset.wire = open ? "open" : "closed";
    this.toggle.setAttribute("aria-expanded", String(open));
    const frames = byId("frames");
    if (open) frames.scrollTop = frames.scrollHeight;
  }
};

// src/ui/times.ts
var clock = new Intl.DateTimeFormat(void 0, { hour: "2-digit", minute: "2-digit" });
var weekday = new Intl.DateTimeFormat(void 0, { weekday: "long" });
var date = new Intl.DateTimeFormat(void 0, { day: "numeric", month: "long" });
var dateYear = new Intl.DateTimeFormat(void 0, { day: "numeric", month: "long", year: "numeric" });
var full = new Intl.DateTimeFormat(void 0, { dateStyle: "full", timeStyle: "medium" });
var DAY_MS = 864e5;
function timeOfDay(ms) {
  return clock.format(ms);
}
function fullTime(ms) {
  return full.format(ms);
}
function dayName(ms, nowMs = Date.now()) {
  const days = Math.round((midnight(nowMs) - midnight(ms)) / DAY_MS);
  if (days === 0) return "Today";
  if (days === 1) return "Yesterday";
  if (days > 1 && days < 7) return weekday.format(ms);
  return new Date(ms).getFullYear() === new Date(nowMs).getFullYear() ? date.format(ms) : dateYear.format(ms);
}
function shortMoment(ms, nowMs = Date.now()) {
  return midnight(ms) === midnight(nowMs) ? timeOfDay(ms) : dayName(ms, nowMs);
}
function stamp(ms) {
  const at = new Date(ms);
  const two = (n) => String(n).padStart(2, "0");
  const millis = String(at.getMilliseconds()).padStart(3, "0");
  return `${two(at.getHours())}:${two(at.getMinutes())}:${two(at.getSeconds())}.${millis}`;
}
function midnight(ms) {
  return new Date(ms).setHours(0, 0, 0, 0);
}

// src/ui/list.ts
var HUES = 8;
function renderList(book, select) {
  const sorted = byRecency(book.conversations.values());
  reconcile(
    byId("list"),
    sorted,
    (conversation) => conversation.id,
    (conversation) => buildItem(conversation.id, select),
    (element, conversation) => updateItem(element, conversation, book)
  );
  byId("list-empty").hidden = !book.listLoaded || sorted.length > 0;
  byId("list-more").hidden = book.listNext === void 0;
}
function paintAvatar(avatar, name, group) {
  avatar.dataset.hue = String(hueOf(name, HUES));
  avatar.dataset.shape = group ? "group" : "person";
  setText(avatar, initialOf(name));
}
function isGroup(conversation, me) {
  return conversation.title !== null || othersIn(conversation, me).length > 1;
}
function buildItem(id, select) {
  const open = make(
    "button",
    "item",
    make("span", "avatar"),
    make("span", "item-name"),
    make("span", "item-time"),
    make("span", "item-last"),
    make("span", "badge")
  );
  open.type = "button";
  open.dataset.testid = "conversation";
  open.addEventListener("click", () => select(id));
  open.querySelector(".avatar")?.setAttribute("aria-hidden", "true");
  return make("li", "", open);
}
function updateItem(element, conversation, book) {
  const part = (name2) => element.querySelector(`.${name2}`);
  const name = nameOf(conversation, book.me);
  const item = part("item");
  item.dataset.name = name;
  if (conversation.id === book.openId) item.setAttribute("aria-current", "true");
  else item.removeAttribute("aria-current");
  paintAvatar(part("avatar"), name, isGroup(conversation, book.me));
  setText(part("item-name"), name);
  setText(part("item-time"), shortMoment(conversation.updatedAtMs));
  setText(part("item-last"), lastLine(conversation, book.me));
  const badge = part("badge");
  badge.hidden = conversation.unread === 0;
  badge.dataset.testid = "unread";
  setText(badge, conversation.unread > 99 ? "99+" : String(conversation.unread));
  badge.setAttribute("aria-label", `${conversation.unread} unread`);
}
function lastLine(conversation, me) {
  const { last } = conversation;
  if (last === null) return "No messages yet";
  if (last.deleted === true || last.kind === "delete") return "Message deleted";
  const text = last.text ?? "";
  if (last.from === me) return `You: ${text}`;
  return isGroup(conversation, me) ? `${last.from}: ${text}` : text;
}

// src/ui/status.ts
var WORDS = {
  connecting: "Connecting",
  "catching up": "Catching up",
  live: "Live",
  waiting: "Reconnecting",
  stopped: "Stopped"
};
var StatusPill = class {
  until = 0;
  timer;
  constructor(reconnect) {
    byId("status-now").addEventListener("click", reconnect);
  }
  show(state) {
    byId("status").dataset.state = state.name.replace(" ", "-");
    setText(byId("status-text"), state.name === "live" && state.moving ? "Moving" : WORDS[state.name]);
    byId("status-now").hidden = state.name !== "waiting";
    clearInterval(this.timer);
    if (state.name === "waiting") {
      this.until = performance.now() + state.forMs;
      this.timer = setInterval(() => this.count(), 200);
    }
    this.count(state.name === "waiting");
  }
  /** The seconds are for the eye alone: read out each second they would be noise. */
  count(waiting = true) {
    const left = Math.ceil((this.until - performance.now()) / 1e3);
    setText(byId("status-count"), waiting && left > 0 ? `in ${left} s` : "");
  }
};
function noticeFor(state) {
  if (state.name === "waiting" || state.name === "connecting") {
    return "Not connected. What you write is kept and sent when the connection is back.";
  }
  return "";
}
function farewell(state) {
  switch (state.why) {
    case "refused":
      return "The server did not accept the token. Come in again.";
    case "replaced":
      return "You are signed in in too many places, and this one was the first to go.";
    case "forbidden":
      return "The server does not let you in.";
    case "protocol":
      return `This page and the server do not understand each other${state.detail === "" ? "" : `: ${state.detail}`}.`;
    case "no token":
      return state.detail;
    case "left":
      return "";
  }
}

// src/chat/rows.ts
var TOGETHER_MS = 5 * 6e4;
function rowsOf(conversation, me, dividerAfter) {
  const rows = [];
  let day = "";
  let before = null;
  let divided = dividerAfter === null;
  for (const message of shown(conversation.log?.entries ?? [])) {
    const today = new Date(message.sentAtMs).toDateString();
    if (today !== day) {
      rows.push({ kind: "day", key: `day ${today}`, atMs: message.sentAtMs });
      before = null;
      day = today;
    }
    if (!divided && message.version > (dividerAfter ?? 0) && message.from !== me) {
      rows.push({ kind: "new", key: "new" });
      before = null;
      divided = true;
    }
    rows.push(lineFor(message, me, before));
    before = message.kind === "message" ? { from: message.from, atMs: message.sentAtMs } : null;
  }
  for (const pending of conversation.pending) {
    rows.push({ kind: "pending", key: pending.key, pending, follows: before?.from === me });
    before = { from: me, atMs: pending.writtenAtMs };
  }
  return rows;
}
function lineFor(message, me, before) {
  const key = `v${message.version}`;
  if (message.kind === "rename") return { kind: "note", key, from: message.from, text: message.text };
  const follows = before?.from === message.from && message.sentAtMs - before.atMs < TOGETHER_MS;
  return { kind: "message", key, message, mine: message.from === me, follows };
}

// src/ui/row.ts
var HUES2 = 8;
function buildRow(row, group, actions) {
  switch (row.kind) {
    case "day":
      return make("li", "row-day", make("span", ""));
    case "new":
      return make("li", "row-new", make("span", "", "New"));
    case "note":
      return make("li", "row-note", `${row.from} named the conversation “${row.text}”`);
    case "message":
      return buildMessage(row.message.from, row.mine, group);
    case "pending":
      return buildPending(row.key, actions);
  }
}
function updateRow(element, row) {
  if (row.kind === "day") setText(element.firstElementChild, dayName(row.atMs));
  if (row.kind === "message") updateMessage(element, row);
  if (row.kind === "pending") updatePending(element, row);
}
function buildMessage(from, mine, group) {
  const author = make("span", mine || !group ? "sr-only" : "author", mine ? "You" : from);
  author.dataset.hue = String(hueOf(from, HUES2));
  const bubble = make("div", "bubble", author, make("div", "text"), make("time", "time"));
  const element = make("li", mine ? "row mine" : "row", bubble);
  element.dataset.testid = "message";
  element.dataset.from = from;
  return element;
}
function updateMessage(element, row) {
  const { message } = row;
  element.dataset.version = String(message.version);
  element.classList.toggle("follows", row.follows);
  element.classList.toggle("deleted", message.deleted);
  fillText(element, message.deleted ? "Message deleted" : message.text);
  const time = element.querySelector("time");
  time.dateTime = new Date(message.sentAtMs).toISOString();
  time.title = `${fullTime(message.sentAtMs)}, version ${message.version}`;
  setText(time, (message.edited ? "edited " : "") + timeOfDay(message.sentAtMs));
}
function buildPending(key, actions) {
  const bubble = make("div", "bubble", make("div", "text"), make("span", "time"));
  const refused = make("div", "refused");
  refused.setAttribute("role", "alert");
  refused.append(
    make("span", "refused-why"),
    button("link", "Send again", () => actions.retry(key)),
    button("link", "Discard", () => actions.discard(key))
  );
  const element = make("li", "row mine pending", bubble, refused);
  element.dataset.testid = "pending";
  return element;
}
function updatePending(element, row) {
  const { refused, text } = row.pending;
  element.classList.toggle("follows", row.follows);
  element.classList.toggle("is-refused", refused !== null);
  fillText(element, text);
  setText(element.querySelector(".time"), refused === null ? "sending" : "not sent");
  element.querySelector(".refused").hidden = refused === null;
  setText(element.querySelector(".refused-why"), refused ?? "");
}
function fillText(element, text) {
  const target = element.querySelector(".text");
  if (target.textContent === text) return;
  target.replaceChildren(...pieces(text).map(({ text: part, href }) => href === null ? part : link(href)));
}
function link(href) {
  const anchor = make("a", "", href);
  anchor.href = href;
  anchor.target = "_blank";
  anchor.rel = "noopener noreferrer";
  return anchor;
}

// src/ui/thread.ts
var END_PX = 60;
var OLDER_PX = 300;
var Thread = class {
  constructor(hooks) {
    this.hooks = hooks;
    this.box.addEventListener("scroll", () => this.scrolled(), { passive: true });
    this.jump.addEventListener("click", () => this.toEnd());
    new ResizeObserver(() => this.sticky && this.toEnd()).observe(this.box);
  }
  hooks;
  box = byId("messages");
  rows = byId("rows");
  jump = byId("jump");
  shownId = null;
  sticky = true;
  get atEnd() {
    return this.sticky;
  }
  toEnd() {
    this.sticky = true;
    this.box.scrollTop = this.box.scrollHeight;
    this.hooks.moved();
  }
  render(book) {
    const open = book.open;
    byId("thread-open").hidden = open === null;
    byId("thread-empty").hidden = open !== null;
    if (open === null) {
      this.shownId = null;
      return;
    }
    if (this.shownId !== open.id) {
      this.shownId = open.id;
      this.sticky = true;
      this.rows.replaceChildren();
    }
    this.renderHead(open, book.me);
    this.renderRows(open, book);
  }
  renderHead(open, me) {
    const name = nameOf(open, me);
    const group = isGroup(open, me);
    setText(byId("thread-title"), name);
    setText(byId("thread-members"), group ? open.members.join(", ") : "");
    paintAvatar(byId("thread-avatar"), name, group);
    const start = open.log === null ? "Loading…" : open.log.after > 0 ? "Loading earlier messages…" : group ? `This is the beginning of ${name}.` : `This is the beginning of your conversation with ${name}.`;
    setText(byId("messages-start"), start);
  }
  renderRows(open, book) {
    const anchor = this.sticky ? void 0 : this.firstInView();
    const before = anchor?.getBoundingClientRect().top ?? 0;
    const group = isGroup(open, book.me);
    reconcile(
      this.rows,
      rowsOf(open, book.me, book.dividerAfter),
      (row) => row.key,
      (row) => buildRow(row, group, this.hooks),
      (element, row) => updateRow(element, row)
    );
    if (this.sticky) this.box.scrollTop = this.box.scrollHeight;
    else if (anchor !== void 0) this.box.scrollTop += anchor.getBoundingClientRect().top - before;
    this.renderJump(open);
    if (this.box.scrollHeight <= this.box.clientHeight) this.hooks.older();
  }
  /** The topmost message that is seen, in part or whole. */
  firstInView() {
    const top = this.box.getBoundingClientRect().top;
    const messages = [...this.rows.querySelectorAll(".row")];
    return messages.find((message) => message.getBoundingClientRect().bottom > top);
  }
  renderJump(open) {
    this.jump.hidden = this.sticky;
    setText(byId("jump-text"), open.unread > 0 ? `${open.unread} new` : "Latest");
  }
  scrolled() {
    const toEnd = this.box.scrollHeight - this.box.scrollTop - this.box.clientHeight;
    const sticky = toEnd < END_PX;
    if (sticky !== this.sticky) {
      this.sticky = sticky;
      this.hooks.moved();
    }
    if (this.box.scrollTop < OLDER_PX) this.hooks.older();
  }
};

// src/wire/describe.ts
var PULLS = /* @__PURE__ */ new Set(["topics.changes", "conversations.list", "conversations.get", "messages.list"]);
function describe(direction, frame, call) {
  switch (frame.type) {
    case "hello":
      return { kind: "session", label: "hello", phrase: "here I am" };
    case "token":
      return { kind: "session", label: "token", phrase: "a fresh one, before the old expires" };
    case "welcome":
      return { kind: "session", label: "welcome", phrase: `registered as ${frame.user}` };
    case "goaway":
      return { kind: "session", label: "goaway", phrase: `${frame.reason}; come back in ${seconds(frame.reconnect_after_ms)}` };
    case "hint":
      return { kind: "hint", label: "hint", phrase: hintPhrase(frame) };
    case "call":
      return { kind: kindOf(frame.method), label: frame.method, phrase: callPhrase(frame.method, frame.params) };
    case "reply":
      return replied(frame, call);
    case "ping":
      return { kind: "beat", label: "ping", phrase: "still there?" };
    case "pong":
      return { kind: "beat", label: "pong", phrase: "still here" };
    case "error":
      return { kind: "error", label: "error", phrase: `${frame.code}: ${frame.message}` };
    default:
      return { kind: "session", label: String(frame.type), phrase: direction };
  }
}
function kindOf(method) {
  return PULLS.has(method) ? "pull" : "act";
}
function hintPhrase(hint) {
  const topics = Object.entries(hint.topics);
  const [first] = topics;
  const wait = hint.pull_after_ms ? `; pull in ${seconds(hint.pull_after_ms)}` : "";
  if (hint.resync === true) return `anything may have changed${wait}`;
  if (first === void 0) return `there is more${wait}`;
  if (topics.length === 1) return `${shortTopic(first[0])} has reached ${first[1]}${wait}`;
  return `${topics.length} topics have moved${wait}`;
}
function callPhrase(method, params) {
  switch (method) {
    case "topics.changes":
      return params.cursor === void 0 ? "what is there?" : "what changed since my cursor?";
    case "conversations.list":
      return "which conversations do I have?";
    case "conversations.get":
      return "how is this conversation?";
    case "messages.list":
      return params.after === void 0 ? `messages before ${params.before}?` : `messages after ${params.after}?`;
    case "messages.send":
      return "append this message";
    case "conversations.mark_read":
      return `read up to ${params.version}`;
    case "conversations.create":
      return "start a conversation";
    default:
      return "";
  }
}
function replied(reply, call) {
  const method = call?.method ?? "reply";
  if (reply.error != null) {
    return { kind: "error", label: `${method} ✗`, phrase: `${reply.error.code}: ${reply.error.message}` };
  }
  const result = reply.result ?? {};
  return { kind: kindOf(method), label: `${method} ✓`, phrase: resultPhrase(method, result) };
}
function resultPhrase(method, result) {
  const more = result.more === true ? ", and more" : "";
  switch (method) {
    case "topics.changes":
      return changed(Object.keys(result.topics ?? {}).length) + more;
    case "conversations.list":
      return count(lengthOf2(result.conversations), "conversation");
    case "conversations.get":
      return `at version ${result.version}, ${result.unread} unread`;
    case "messages.list":
      return count(lengthOf2(result.messages), "message") + more;
    case "messages.send":
      return `stored as version ${result.version}`;
    case "conversations.mark_read":
      return `read mark at ${result.read}`;
    default:
      return "done";
  }
}
function changed(topics) {
  return topics === 0 ? "nothing has changed" : `${count(topics, "topic")} changed`;
}
function shortTopic(topic) {
  if (topic.length <= 24) return topic;
  const colon = topic.indexOf(":");
  return `${colon > 0 ? `${topic.slice(0, colon)} ` : ""}…${topic.slice(-4)}`;
}
function seconds(ms) {
  return `${(ms / 1e3).toFixed(1)} s`;
}
function count(n, noun) {
  return n === 1 ? `1 ${noun}` : `${n} ${noun}s`;
}
function lengthOf2(list) {
  return Array.isArray(list) ? list.length : 0;
}

// src/wire/trail.ts
var Trail = class {
  /** Topics that were hinted and not pulled since, with the number of the hint's frame. */
  hinted = /* @__PURE__ */ new Map();
  asked = /* @__PURE__ */ new Map();
  /** Frames are numbered as they travel. */
  place(frame, number) {
    if (frame.type === "hint") for (const topic of Object.keys(frame.topics)) this.hinted.set(topic, number);
    if (frame.type === "call") return this.called(frame.id, frame.method, frame.params, number);
    if (frame.type === "reply") return this.replied(frame.id);
    return { call: void 0, from: null };
  }
  called(id, method, params, number) {
    const topics = this.answers(method, params);
    const from = topics.length === 0 ? null : Math.min(...topics.map((topic) => this.hinted.get(topic) ?? number));
    for (const topic of topics) this.hinted.delete(topic);
    this.asked.set(id, { method, params, number, hinted: from !== null });
    return { call: void 0, from };
  }
  replied(id) {
    const asked = this.asked.get(id);
    this.asked.delete(id);
    if (asked === void 0) return { call: void 0, from: null };
    return { call: asked, from: asked.hinted ? asked.number : null };
  }
  /** The hinted topics that a call pulls. The list stands for the inbox, and for many conversations at once. */
  answers(method, params) {
    const topics = [...this.hinted.keys()];
    if (method === "conversations.list") return topics.filter((topic) => topic.startsWith("inbox:"));
    if (method !== "messages.list" && method !== "conversations.get") return [];
    return topics.filter((topic) => topic === `conversation:${params.conversation}`);
  }
};

// src/ui/wire.ts
var FRAMES_MAX = 400;
var COMPACT_MAX = 240;
var END_PX2 = 40;
var WirePanel = class {
  list = byId("frames");
  trail = new Trail();
  count = 0;
  constructor() {
    byId("wire-clear").addEventListener("click", () => this.clear());
  }
  clear() {
    this.list.replaceChildren();
  }
  add(direction, frame) {
    const number = this.count++;
    const { call, from } = this.trail.place(frame, number);
    const element = build(direction, frame, describe(direction, frame, call));
    element.dataset.number = String(number);
    this.append(element);
    if (from !== null) this.tie(from);
  }
  /** Says what happened between the frames; what happens again and again is counted in one line. */
  note(text) {
    const last = this.list.lastElementChild;
    if (last?.dataset.note !== text) {
      const element = make("li", "wire-note", text);
      Object.assign(element.dataset, { note: text, times: "1" });
      return this.append(element);
    }
    const times = Number(last.dataset.times) + 1;
    last.dataset.times = String(times);
    last.textContent = `${text}, ${times} times`;
  }
  append(element) {
    const { list } = this;
    const atEnd = list.scrollHeight - list.scrollTop - list.clientHeight < END_PX2;
    list.append(element);
    while (list.childElementCount > FRAMES_MAX) list.firstElementChild?.remove();
    if (atEnd) list.scrollTop = list.scrollHeight;
  }
  /** Draws the rail from frame number `from` down to the newest one, past what came between. */
  tie(from) {
    let element = this.list.lastElementChild;
    element?.classList.add("rail-above", "rail-dot");
    for (element = previous(element); element !== null; element = previous(element)) {
      element.classList.add("rail-below");
      if (Number(element.dataset.number) <= from) break;
      element.classList.add("rail-above");
    }
    element?.classList.add("rail-dot");
  }
};
function previous(element) {
  return element?.previousElementSibling ?? null;
}
function build(direction, frame, said) {
  const json = compact(frame);
  const arrow = make("span", "frame-arrow", direction === "sent" ? "↑" : "↓");
  arrow.title = direction;
  const summary = make(
    "summary",
    "",
    arrow,
    make("span", "frame-label", said.label),
    make("span", "frame-phrase", said.phrase),
    make("code", "frame-json", json.length > COMPACT_MAX ? `${json.slice(0, COMPACT_MAX)}…` : json),
    make("time", "frame-time", stamp(Date.now()))
  );
  const details = make("details", "", summary);
  details.addEventListener("toggle", () => unfold(details, frame));
  const element = make("li", "frame", details);
  Object.assign(element.dataset, { testid: "frame", kind: said.kind, direction, type: frame.type, label: said.label });
  return element;
}
function compact(frame) {
  const { type: _, ...rest } = frame;
  return JSON.stringify(rest);
}
function unfold(details, frame) {
  if (details.open && details.childElementCount === 1) {
    details.append(make("pre", "frame-full", JSON.stringify(frame, null, 2)));
  }
}

// src/page.ts
var Page = class {
  /** `leave` shows the door again, with the reason where there is one. */
  constructor(leave) {
    this.leave = leave;
    new NewDialog({
      me: () => this.session?.book.me ?? "",
      create: async (members, title) => this.session?.writer.create(members, title),
      created: () => this.select(this.session?.book.openId ?? null)
    });
    byId("leave").addEventListener("click", () => this.session?.stop());
    byId("list-more").addEventListener("click", () => {
      void this.session?.reader.loadMoreConversations().catch(ignoreUntilNextTime);
    });
    addEventListener("focus", () => this.changed());
    addEventListener("online", () => this.session?.nudge());
    addEventListener("offline", () => this.session?.nudge());
    document.addEventListener("visibilitychange", () => {
      if (document.visibilityState === "visible") this.session?.nudge();
      this.changed();
    });
  }
  leave;
  session = null;
  renderQueued = false;
  layout = new Layout(() => this.select(null));
  status = new StatusPill(() => this.session?.nudge());
  wire = new WirePanel();
  composer = new Composer((text) => this.send(text));
  thread = new Thread({
    older: () => void this.session?.reader.loadOlder().catch(ignoreUntilNextTime),
    moved: () => this.changed(),
    retry: (key) => this.session?.writer.retry(key),
    discard: (key) => this.session?.writer.discard(key)
  });
  enter(tokens, device) {
    const url = `${location.protocol === "https:" ? "wss" : "ws"}://${location.host}/v1/ws`;
    this.layout.show();
    this.session = new Session(url, device, tokens, {
      changed: () => this.changed(),
      attentive: () => this.attentive(),
      arrived: (conversation, entries) => announce(conversation, entries),
      state: (state) => this.showState(state),
      closed: (code, reason, welcomed) => this.wire.note(closedNote(code, reason, welcomed)),
      frame: (direction, frame) => {
        this.wire.add(direction, frame);
        if (frame.type === "hint") ringBell();
      }
    });
    this.session.start();
    this.changed();
  }
  showState(state) {
    this.status.show(state);
    const notice = noticeFor(state);
    setText(byId("notice"), notice);
    byId("notice").hidden = notice === "";
    if (state.name === "stopped") this.end(farewell(state));
    this.changed();
  }
  end(message) {
    this.select(null);
    this.session = null;
    this.layout.hide();
    byId("list").replaceChildren();
    this.wire.clear();
    document.title = "Doorbell";
    this.leave(message);
  }
  select(id) {
    this.layout.setView(id === null ? "list" : "thread");
    void this.session?.reader.show(id).catch(ignoreUntilNextTime);
    this.render();
    if (id !== null) this.layout.focusThread();
  }
  send(text) {
    this.session?.writer.send(text);
    this.thread.toEnd();
  }
  attentive() {
    return document.visibilityState === "visible" && document.hasFocus() && this.thread.atEnd;
  }
  /** Many changes come at once: they are drawn together. */
  changed() {
    if (this.renderQueued) return;
    this.renderQueued = true;
    setTimeout(() => {
      this.renderQueued = false;
      this.render();
    });
  }
  render() {
    const { session } = this;
    if (session === null) return;
    const { book } = session;
    setText(byId("me"), book.me);
    renderList(book, (id) => this.select(id));
    this.thread.render(book);
    this.composer.open(book.openId);
    const unread = unreadTotal(book.conversations.values());
    document.title = unread > 0 ? `(${unread}) Doorbell` : "Doorbell";
    if (this.attentive()) session.writer.seen();
  }
};
function closedNote(code, reason, welcomed) {
  if (code === 1006) return welcomed ? "connection lost" : "could not connect";
  return `socket closed: ${code}${reason === "" ? "" : `, ${reason}`}`;
}
function announce(conversation, entries) {
  const last = entries.at(-1);
  if (last === void 0) return;
  const text = entries.length === 1 ? `${last.from}: ${last.text ?? ""}` : `${entries.length} new messages`;
  setText(byId("announcer"), conversation.title === null ? text : `${conversation.title}, ${text}`);
}
function ringBell() {
  const bell = byId("bell");
  bell.classList.remove("ring");
  bell.getBoundingClientRect();
  bell.classList.add("ring");
}

// src/token.ts
var DemoOff = class extends NoToken {
};
var LAST_MOMENTS_MS = 5e3;
function demoTokens(user, fetcher = (...args) => fetch(...args)) {
  let known = null;
  return async (fresh) => {
    const alive = known?.expiresAtMs === void 0 || known.expiresAtMs > Date.now() + LAST_MOMENTS_MS;
    if (known === null || fresh || !alive) known = await askForToken(user, fetcher);
    return known;
  };
}
function pastedToken(token) {
  return async (fresh) => {
    if (fresh) throw new NoToken("Your token has expired. Paste a new one.");
    return { token };
  };
}
async function askForToken(user, fetcher) {
  const response = await fetcher("/v1/demo/token", {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify({ user }),
    cache: "no-store"
  });
  if (response.ok) {
    const { token, expires_at_ms } = await response.json();
    return { token, expiresAtMs: expires_at_ms };
  }
  if (response.status === 404) throw new DemoOff("On this server a name is not enough.");
  const message = await errorMessage(response);
  if (response.status === 403) throw new DemoOff(message);
  if (response.status >= 400 && response.status < 500 && response.status !== 429) throw new NoToken(message);
  throw new Error(message);
}
async function errorMessage(response) {
  try {
    const body = await response.json();
    return body.error.message;
  } catch {
    return `The server answered ${response.status}.`;
  }
}

// src/ui/landing.ts
var Landing = class {
  constructor(enter2) {
    this.enter = enter2;
    byId("name-form").addEventListener("submit", (event) => {
      event.preventDefault();
      void this.withName();
    });
    byId("use-token").addEventListener("click", () => {
      this.askForToken();
      this.show("");
    });
    byId("token-form").addEventListener("submit", (event) => {
      event.preventDefault();
      const token = this.token.value.trim();
      this.token.value = "";
      if (token !== "") this.enter(pastedToken(token), null);
    });
  }
  enter;
  name = byId("name");
  token = byId("token");
  show(message) {
    byId("landing").hidden = false;
    setText(byId("landing-error"), message);
    const field = byId("name-form").hidden ? this.token : this.name;
    field.focus();
  }
  hide() {
    byId("landing").hidden = true;
  }
  /** The server asks for tokens: the field for a name would lead nowhere. */
  askForToken() {
    byId("name-form").hidden = true;
    byId("token-form").hidden = false;
  }
  async withName() {
    const name = this.name.value.trim();
    if (name === "") return;
    const tokens = demoTokens(name);
    setText(byId("landing-error"), "");
    try {
      await tokens(false);
      this.enter(tokens, name);
    } catch (error) {
      if (error instanceof DemoOff) this.askForToken();
      this.show(whyNot(error));
    }
  }
};
function whyNot(error) {
  if (error instanceof NoToken) return error.message;
  return "The server does not answer. Try again in a moment.";
}

// src/main.ts
var NAME = "doorbell.name";
var DEVICE = "doorbell.device";
var landing = new Landing((tokens, name) => enter(tokens, name));
var page = new Page((message) => {
  sessionStorage.removeItem(NAME);
  landing.show(message);
});
function enter(tokens, name) {
  if (name !== null) sessionStorage.setItem(NAME, name);
  landing.hide();
  page.enter(tokens, deviceOfThisTab());
}
async function begin() {
  const name = sessionStorage.getItem(NAME);
  if (name === null) return landing.show("");
  const tokens = demoTokens(name);
  try {
    await tokens(false);
  } catch (error) {
    if (error instanceof DemoOff) {
      landing.askForToken();
      return landing.show(error.message);
    }
  }
  enter(tokens, name);
}
function deviceOfThisTab() {
  const known = sessionStorage.getItem(DEVICE);
  if (known !== null) return known;
  const bytes = crypto.getRandomValues(new Uint8Array(6));
  const device = `web-${Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("")}`;
  sessionStorage.setItem(DEVICE, device);
  return device;
}
void begin();
