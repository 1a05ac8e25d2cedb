// src/chat/log.ts
function newestPage(head, messages, more) {
  const first = messages[0];
  const last = messages.at(-1);
  if (first === void 0 || last === void 0) return { after: more ? head : 0, to: head, entries: [] };
  return { after: more ? first.version - 1 : 0, to: last.version, entries: redacted(messages) };
}
function append(log, messages) {
  const fresh = messages.filter((entry) => entry.version > log.to);
  const last = fresh.at(-1);
  if (last === void 0) return log;
  return { after: log.after, to: last.version, entries: redacted([...log.entries, ...fresh]) };
}
function prepend(log, messages, more) {
  const older = messages.filter((entry) => entry.version <= log.after);
  const first = older[0];
  const after = more && first !== void 0 ? first.version - 1 : 0;
  return { after, to: log.to, entries: redacted([...older, ...log.entries]) };
}
function shown(entries) {
  const byVersion = /* @__PURE__ */ new Map();
  for (const entry of entries) {
    if (entry.kind === "message" || entry.kind === "rename") byVersion.set(entry.version, asShown(entry, entry.kind));
    else apply(entry, byVersion.get(entry.of ?? 0));
  }
  return [...byVersion.values()];
}
function amended(entry, later) {
  const [now] = shown([entry, ...later.filter((one) => one.of === entry.version)]);
  if (now === void 0) return entry;
  return now.deleted ? emptied(entry) : { ...entry, text: now.text };
}
function goneBy(conversation, log, fresh) {
  return deletedIn(fresh).flatMap((version) => {
    const about = log.entries.filter((entry) => entry.version === version || entry.kind === "edit" && entry.of === version);
    const id = about.find((entry) => entry.version === version)?.id;
    const texts = about.map((entry) => entry.text ?? "").filter((text) => text !== "");
    return id === void 0 ? [] : [{ conversation, version, id, texts }];
  });
}
function deletedIn(entries) {
  return entries.filter((entry) => entry.kind === "delete").map((entry) => entry.of ?? 0);
}
function redacted(entries) {
  const gone = new Set(deletedIn(entries));
  if (gone.size === 0) return entries;
  const about = (entry) => entry.kind === "edit" ? entry.of ?? 0 : entry.version;
  return entries.map((entry) => gone.has(about(entry)) && entry.kind !== "delete" ? emptied(entry) : entry);
}
function emptied(entry) {
  const { text: _, media: __, ...rest } = entry;
  return { ...rest, deleted: true };
}
function apply(entry, target) {
  if (target === void 0) return;
  if (entry.kind === "delete") {
    target.text = "";
    target.media = [];
    target.deleted = true;
  } else if (entry.kind === "edit" && !target.deleted && entry.deleted !== true) {
    target.text = entry.text ?? target.text;
    target.editedBy = entry.from;
  }
}
function asShown(entry, kind) {
  const deleted = entry.deleted === true;
  return {
    version: entry.version,
    kind,
    id: entry.id,
    from: entry.from,
    text: deleted ? "" : entry.text ?? "",
    media: deleted ? [] : entry.media ?? [],
    sentAtMs: entry.sent_at_ms,
    editedBy: null,
    deleted
  };
}

// src/chat/conversation.ts
var NAMES_MAX = 4;
function merged(known, summary) {
  const fresh = {
    id: summary.conversation,
    topic: summary.topic,
    title: summary.title ?? null,
    label: summary.label ?? null,
    owner: summary.owner ?? null,
    closed: summary.closed ?? false,
    members: membersOf(known, summary),
    memberCount: summary.member_count ?? summary.members?.length ?? known?.memberCount ?? 0,
    online: summary.online ?? known?.online ?? null,
    version: summary.version,
    read: summary.read,
    unread: summary.unread,
    muted: summary.muted ?? false,
    last: summary.last ?? null,
    updatedAtMs: summary.updated_at_ms,
    log: known?.log ?? null,
    pending: known?.pending ?? [],
    amending: known?.amending ?? /* @__PURE__ */ new Map()
  };
  return known === void 0 ? fresh : keptGrown(known, fresh);
}
function membersOf(known, summary) {
  const given = summary.members;
  if (given === void 0) return known?.members ?? [];
  const partial = summary.member_count !== void 0 && given.length < summary.member_count;
  const same = known !== void 0 && known.memberCount === summary.member_count;
  return partial && same && known.members.length > given.length ? known.members : given;
}
function keptGrown(known, fresh) {
  if (known.version > fresh.version) {
    const { version, last, updatedAtMs, unread, title } = known;
    Object.assign(fresh, { version, last, updatedAtMs, unread, title });
  }
  if (known.read > fresh.read) {
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
  const next = { ...known, log, last: lastOf(known, log) };
  if (newest === void 0 || newest.version <= known.version) return next;
  const renamed = fresh.findLast((entry) => entry.kind === "rename");
  return {
    ...next,
    title: renamed?.text ?? known.title,
    version: newest.version,
    updatedAtMs: newest.sent_at_ms,
    unread: known.unread + unread
  };
}
function lastOf(known, log) {
  const last = log.entries.findLast((entry) => entry.kind === "message") ?? known.last;
  return last === null ? null : amended(last, log.entries);
}
function nameOf(conversation, me) {
  if (conversation.title !== null && conversation.title !== "") return conversation.title;
  const others = othersIn(conversation, me);
  if (others.length === 0) return "Only you";
  const hidden = conversation.memberCount - 1 - NAMES_MAX;
  return hidden > 0 ? `${others.slice(0, NAMES_MAX).join(", ")} and ${hidden} more` : others.join(", ");
}
function othersIn(conversation, me) {
  return conversation.members.filter((member) => member !== me);
}
function isGroup(conversation, me) {
  return conversation.title !== null || conversation.owner !== null || othersIn(conversation, me).length > 1;
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

// src/chat/features.ts
var REFUSALS = /* @__PURE__ */ new Set(["unsupported", "unknown_method", "unknown_type"]);
var Features = class {
  refused = /* @__PURE__ */ new Set();
  subscriptions = 0;
  countsMembers = false;
  knowsPeople = false;
  /** A new session: perhaps with another version of the server. */
  welcomed(limits) {
    this.refused.clear();
    this.subscriptions = limits?.subscriptions ?? 0;
  }
  /** A server that counts a conversation's members is one that lets them change. */
  saw(summary) {
    if (summary.member_count !== void 0) this.countsMembers = true;
  }
  /** Whether it may know who is there: one that follows nothing for anybody does not. */
  get mayKnowPeople() {
    return this.subscriptions > 0 && !this.refused.has("status");
  }
  /** It said how this user is seen. */
  sawStatus() {
    this.knowsPeople = true;
  }
  offers(feature) {
    if (this.refused.has(feature)) return false;
    switch (feature) {
      case "groups":
      case "edits":
        return this.countsMembers;
      case "typing":
        return this.subscriptions > 0;
      case "presence":
      case "status":
        return this.mayKnowPeople && this.knowsPeople;
    }
  }
  /** Whether the error says that the server does not have this at all. */
  learn(feature, error) {
    const without2 = error instanceof CallError && REFUSALS.has(error.code);
    if (without2) this.refused.add(feature);
    return without2;
  }
  /** Only signals are answered by a frame without an id. Whether anything changed by it. */
  learnFrom(frame) {
    if (!REFUSALS.has(frame.code) || this.refused.has("typing")) return false;
    this.refused.add("typing");
    return true;
  }
};

// src/chat/typing.ts
var SHOWN_MS = 6e3;
var TOLD_EVERY_MS = 2200;
var Typing = class {
  until = /* @__PURE__ */ new Map();
  heard(topic, user, now) {
    const users = this.until.get(topic) ?? /* @__PURE__ */ new Map();
    users.set(user, now + SHOWN_MS);
    this.until.set(topic, users);
  }
  /** The message is there, or the writer thought better of it. */
  ended(topic, user) {
    this.until.get(topic)?.delete(user);
  }
  who(topic, now) {
    return [...this.until.get(topic) ?? []].filter(([, until]) => until > now).map(([user]) => user);
  }
  /** When somebody ceases to be shown, if anybody is; what is over is forgotten. */
  next(now) {
    let next = null;
    for (const [topic, users] of this.until) {
      for (const [user, until] of users) {
        if (until <= now) users.delete(user);
        else next = Math.min(next ?? until, until);
      }
      if (users.size === 0) this.until.delete(topic);
    }
    return next;
  }
};
var Typist = class {
  told = /* @__PURE__ */ new Map();
  /** Whether to tell now; counts as told. */
  due(topic, now) {
    if (now - (this.told.get(topic) ?? -Infinity) < TOLD_EVERY_MS) return false;
    this.told.set(topic, now);
    return true;
  }
};
function typingWords(users) {
  const [one, two] = users;
  if (one === void 0) return "";
  if (two === void 0) return `${one} is typing`;
  return users.length === 2 ? `${one} and ${two} are typing` : `${one}, ${two} and others are typing`;
}
function isTyping(data) {
  if (typeof data !== "object" || data === null) return null;
  const { typing } = data;
  return typeof typing === "boolean" ? typing : null;
}

// src/chat/book.ts
var Book = class {
  /** `gone` hears of each message that was deleted, so that nothing keeps what it said. */
  constructor(changed2, gone = () => {
  }) {
    this.changed = changed2;
    this.gone = gone;
  }
  changed;
  gone;
  me = "";
  /** How the user wants to be seen, where that is known. */
  mine = null;
  openId = null;
  /** New messages begin after this version: a line is drawn there. */
  dividerAfter = null;
  listLoaded = false;
  /** Where the next page of the list begins, if there is one. */
  listNext = void 0;
  conversations = /* @__PURE__ */ new Map();
  people = /* @__PURE__ */ new Map();
  typing = new Typing();
  features = new Features();
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
  /** The user is in this conversation no longer. */
  drop(id) {
    if (this.conversations.delete(id)) this.changed();
  }
  /** The server's store is another one: every version is void. What was written and not acknowledged is kept. */
  forgetVersions() {
    for (const [id, conversation] of this.conversations) {
      const fresh = { version: 0, read: 0, unread: 0, log: null, amending: /* @__PURE__ */ new Map() };
      this.conversations.set(id, { ...conversation, ...fresh });
    }
    this.dividerAfter = null;
    this.listLoaded = false;
    this.changed();
  }
};
function conversationOf(topic) {
  return topic.startsWith("conversation:") ? topic.slice("conversation:".length) : null;
}

// src/chat/presence.ts
var FOLLOWED_MEMBERS_MAX = 50;
var FOLLOWED_MAX = 200;
var THERE = /* @__PURE__ */ new Set(["online", "away", "busy"]);
var MINUTE_MS = 6e4;
var HOUR_MS = 60 * MINUTE_MS;
var DAY_MS = 24 * HOUR_MS;
function personOf(status) {
  return {
    presence: THERE.has(status.state) ? status.state : "offline",
    text: status.text ?? "",
    lastSeenMs: status.last_seen_ms ?? null
  };
}
function followed(conversations, open, me) {
  const users = /* @__PURE__ */ new Set();
  if (open !== null && open.memberCount <= FOLLOWED_MEMBERS_MAX) for (const user of othersIn(open, me)) users.add(user);
  for (const conversation of conversations) {
    const [other] = othersIn(conversation, me);
    if (other !== void 0 && !isGroup(conversation, me)) users.add(other);
  }
  return [...users].slice(0, FOLLOWED_MAX);
}
function presenceWords(person, nowMs) {
  if (person === void 0) return "";
  if (person.presence === "offline") return person.lastSeenMs === null ? "Offline" : `Last seen ${ago(nowMs - person.lastSeenMs)}`;
  const state = person.presence === "online" ? "Online" : person.presence === "away" ? "Away" : "Busy";
  return person.text === "" ? state : `${state}, ${person.text}`;
}
function whoIsThere(open, people, me) {
  const small = open.memberCount <= FOLLOWED_MEMBERS_MAX;
  const named = small && open.members.length >= open.memberCount;
  const who = named ? open.members.join(", ") : `${open.memberCount.toLocaleString("en")} members`;
  const isThere = (user) => (people?.get(user)?.presence ?? "offline") !== "offline";
  const counted = people === null || !small ? null : othersIn(open, me).filter(isThere).length + 1;
  const there = open.online ?? counted;
  return there === null ? who : `${there.toLocaleString("en")} online · ${who}`;
}
function ago(ms) {
  if (ms < MINUTE_MS) return "just now";
  if (ms < HOUR_MS) return some(Math.floor(ms / MINUTE_MS), "minute");
  if (ms < DAY_MS) return some(Math.floor(ms / HOUR_MS), "hour");
  return some(Math.floor(ms / DAY_MS), "day");
}
function some(n, unit) {
  return `${n} ${unit}${n === 1 ? "" : "s"} ago`;
}

// src/chat/people.ts
var PREFIX = "presence:";
var ASKED_MAX = 100;
var People = class {
  constructor(book, wire) {
    this.book = book;
    this.wire = wire;
  }
  book;
  wire;
  users = [];
  /** Follows whom the page shows; says so to the server only where that changed. */
  follow() {
    const { book } = this;
    const users = book.features.offers("presence") ? followed(book.conversations.values(), book.open, book.me) : [];
    const before = new Set(this.users);
    const fresh = users.filter((user) => !before.has(user));
    if (fresh.length === 0 && users.length === before.size) return;
    this.users = users;
    for (const user of book.people.keys()) if (!users.includes(user)) book.people.delete(user);
    this.wire.follow(users.map((user) => PREFIX + user));
    if (fresh.length > 0) void this.ask(fresh).catch(() => {
    });
  }
  /** A new session: perhaps of a server that has forgotten who came and went. */
  async live() {
    await this.readMine();
    await this.ask(this.users);
  }
  /** Answers the hints of people, and gives back those of anything else. */
  async pull(due) {
    const people = due.filter((one) => one.topic.startsWith(PREFIX));
    await this.ask(people.map((one) => one.topic.slice(PREFIX.length)));
    for (const { topic, version } of people) this.wire.have(topic, version);
    return due.filter((one) => !one.topic.startsWith(PREFIX));
  }
  /** How the others see this user. */
  async readMine() {
    const { book } = this;
    if (!book.features.mayKnowPeople) return;
    try {
      const found = (await this.wire.call("status.get", { users: [book.me] }))[book.me];
      book.features.sawStatus();
      if (found !== void 0) book.mine = { state: chosen(found.state), text: found.text ?? "" };
      book.changed();
    } catch (error) {
      if (!book.features.learn("status", error)) throw error;
    }
  }
  async setMine(state, text) {
    await this.wire.act("status", "status.set", { state, text });
    this.book.mine = { state, text };
    this.book.changed();
  }
  async ask(users) {
    try {
      for (let at = 0; at < users.length; at += ASKED_MAX) await this.read(users.slice(at, at + ASKED_MAX));
    } catch (error) {
      if (!this.book.features.learn("presence", error)) throw error;
    }
    this.book.changed();
  }
  async read(users) {
    const found = await this.wire.call("status.get", { users });
    for (const user of users) {
      const status = found[user];
      if (status === void 0) this.book.people.delete(user);
      else this.book.people.set(user, personOf(status));
    }
  }
};
var CHOICES = /* @__PURE__ */ new Set(["auto", "online", "away", "busy", "invisible"]);
function chosen(state) {
  return CHOICES.has(state) ? state : "auto";
}

// src/chat/reader.ts
var LIST = "window:list";
var LIST_PAGE = 50;
var MESSAGES_PAGE = 50;
var CATCH_UP_PAGE = 200;
var MEMBERS_PAGE = 200;
var SINGLES_MAX = 2;
var BEHIND_MAX = 2e3;
var Reader = class {
  constructor(book, wire, hooks) {
    this.book = book;
    this.wire = wire;
    this.hooks = hooks;
    this.people = new People(book, wire);
  }
  book;
  wire;
  hooks;
  pagesShown = 1;
  loadingOlder = false;
  people;
  /** The session is live: the list is read once, and what could not be read without it is tried again. */
  live() {
    this.wire.ring(LIST, 1);
    void this.finishOpen().catch(ignoreUntilNextTime);
    void this.people.live().catch(ignoreUntilNextTime);
  }
  reset() {
    this.book.forgetVersions();
    this.wire.ring(LIST, 1);
  }
  /** Pulls what was rung. Rejects where something could not be read; what could is kept. */
  async pull(due) {
    const singles = [];
    let list = false;
    for (const one of await this.people.pull(due)) {
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
    if (conversation !== null && conversation.members.length < Math.min(conversation.memberCount, MEMBERS_PAGE)) {
      await this.refresh(conversation.id);
    }
  }
  /** The user is in these no longer. */
  gone(topics) {
    for (const topic of topics) this.book.drop(conversationOf(topic) ?? "");
  }
  /** Reads one conversation again: what is not in its log, its members say, may have changed. */
  async refresh(id) {
    await this.whereStillIn(id, async () => this.take(await this.wire.call("conversations.get", { conversation: id })));
    this.book.changed();
  }
  /** Reads the next page of a large conversation's members. */
  async loadMoreMembers(id) {
    const last = this.book.conversations.get(id)?.members.at(-1);
    if (last === void 0) return;
    const page2 = await this.wire.call("conversations.get", { conversation: id, members_after: last });
    this.book.change(id, (now) => ({ ...now, members: [.../* @__PURE__ */ new Set([...now.members, ...page2.members ?? []])] }));
  }
  /** Takes over what the server says. The open conversation is held only as far as its messages are. */
  take(summary) {
    const { book } = this;
    const known = book.conversations.get(summary.conversation);
    const conversation = merged(known, summary);
    book.features.saw(summary);
    const { last } = conversation;
    if (last !== null && last.version > (known?.last?.version ?? 0)) book.typing.ended(conversation.topic, last.from);
    if (last?.deleted === true) book.gone({ conversation: conversation.id, version: last.version, id: last.id, texts: [] });
    book.conversations.set(conversation.id, conversation);
    if (conversation.id !== book.openId) this.wire.have(conversation.topic, conversation.version);
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
    await this.whereStillIn(id, () => this.readUpTo(id, version));
  }
  async readUpTo(id, version) {
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
    const fresh = messages.filter((entry) => entry.version > to && entry.from !== book.me && entry.kind === "message");
    for (const { from } of fresh) book.typing.ended(known.topic, from);
    if (fresh.length > 0 && known.unread === 0 && id === book.openId && !this.hooks.attentive()) book.dividerAfter = to;
    for (const message of goneBy(id, known.log, messages)) book.gone(message);
    const log = append(known.log, messages);
    book.put(advanced(known, log, book.me));
    this.wire.have(known.topic, log.to);
    if (fresh.length > 0) this.hooks.arrived(known, fresh);
    const allRead = known.members.length >= known.memberCount;
    if (allRead && fresh.some(({ from }) => !known.members.includes(from))) void this.refresh(id).catch(ignoreUntilNextTime);
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
    const openUnseen = book.openId !== null && before.has(book.openId);
    if (next === void 0) for (const id of before) book.drop(id);
    else if (openUnseen) await this.refresh(book.openId ?? "");
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
    if (!listed || this.book.conversations.has(id)) await this.refresh(id);
  }
  /** To the server a conversation that one is not in is none. */
  async whereStillIn(id, read) {
    try {
      await read();
    } catch (error) {
      if (!(error instanceof CallError) || error.code !== "not_found") throw error;
      this.book.drop(id);
    }
  }
  readMessages(params) {
    return this.wire.call("messages.list", params);
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

// src/chat/organizer.ts
var Organizer = class {
  constructor(book, wire, reader) {
    this.book = book;
    this.wire = wire;
    this.reader = reader;
  }
  book;
  wire;
  reader;
  /** Starts a conversation, or finds the one that this pair already has, and opens it. */
  async create({ members, title, closed }) {
    const params = { members, key: newKey(), ...title === "" ? {} : { title }, ...closed ? { closed } : {} };
    const made = await this.wire.act("create", "conversations.create", params);
    this.reader.take(await this.wire.call("conversations.get", { conversation: made.conversation }));
    await this.reader.show(made.conversation);
  }
  /** For everybody. */
  rename(id, title) {
    return this.update(id, { title });
  }
  /** For this user alone; empty takes it away. */
  label(id, label) {
    return this.update(id, { label });
  }
  /** For this user alone: its messages count in no total. */
  mute(id, muted) {
    return this.update(id, { muted });
  }
  addMembers(id, users) {
    return this.change(id, async () => void await this.wire.act(`group ${id}`, "members.add", { conversation: id, users }));
  }
  removeMember(id, user) {
    const params = { conversation: id, users: [user] };
    return this.change(id, async () => void await this.wire.act(`group ${id}`, "members.remove", params));
  }
  async leave(id) {
    const params = { conversation: id, users: [this.book.me] };
    await this.offered("groups", () => this.wire.act(`group ${id}`, "members.remove", params));
    this.book.drop(id);
  }
  async update(id, what) {
    const params = { conversation: id, ...what };
    await this.offered("groups", async () => {
      this.reader.take(await this.wire.act(`group ${id}`, "conversations.update", params));
    });
    this.book.changed();
  }
  /** Members are not in the log: after a change they are read again. */
  async change(id, act) {
    await this.offered("groups", act);
    await this.reader.refresh(id);
  }
  /** What the server does not have at all is not offered again. */
  async offered(feature, act) {
    try {
      await act();
    } catch (error) {
      if (this.book.features.learn(feature, error)) this.book.changed();
      throw error;
    }
  }
};

// src/chat/writer.ts
var Writer = class {
  /** `refused` hears why a change was not made, where the user has to know. */
  constructor(book, wire, refused2 = () => {
  }) {
    this.book = book;
    this.wire = wire;
    this.refused = refused2;
  }
  book;
  wire;
  refused;
  typist = new Typist();
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
  /** Gives a message of the open conversation another text. */
  edit(of, text) {
    const id = this.book.openId;
    if (id === null) return;
    const params = { conversation: id, of, key: newKey(), text };
    this.amend(id, of, text, this.wire.act(`send ${id}`, "messages.edit", params));
  }
  /** Takes a message of the open conversation away from everybody. */
  remove(of) {
    const id = this.book.openId;
    if (id === null) return;
    const params = { conversation: id, of, key: newKey() };
    this.amend(id, of, null, this.wire.act(`send ${id}`, "messages.delete", params));
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
  /** The user is writing. In a large conversation nobody is told. */
  typing(now) {
    const open = this.book.open;
    if (open === null || open.online !== null || !this.book.features.offers("typing")) return;
    if (this.typist.due(open.topic, now)) this.wire.signal(open.topic, { typing: true });
  }
  post(id, pending) {
    this.book.change(id, (now) => ({ ...now, pending: [...now.pending, pending] }));
    const params = { conversation: id, key: pending.key, text: pending.text };
    this.wire.act(`send ${id}`, "messages.send", params).then(
      (ack) => {
        const settle = { pending: this.book.conversations.get(id)?.pending.filter((one) => one.key !== pending.key) ?? [] };
        this.acknowledged(id, settle, { kind: "message", text: pending.text }, ack);
      },
      (error) => this.notSent(id, pending.key, error)
    );
  }
  /** Shows the message as it will be; what the server refuses is as it was. */
  amend(id, of, text, answer) {
    const under = (change) => {
      const amending = new Map(this.book.conversations.get(id)?.amending);
      change(amending);
      return { amending };
    };
    this.book.change(id, (now) => ({ ...now, ...under((map) => map.set(of, text)) }));
    answer.then(
      (ack) => {
        const what = text === null ? { kind: "delete", of } : { kind: "edit", of, text };
        this.acknowledged(id, under((map) => map.delete(of)), what, ack);
      },
      (error) => {
        this.book.features.learn("edits", error);
        this.book.change(id, (now) => ({ ...now, ...under((map) => map.delete(of)) }));
        this.refused(reason(error));
      }
    );
  }
  /** Where nothing lies between, the answer is the log's next entry and saves the pull. */
  acknowledged(id, settled, what, ack) {
    const { version, sent_at_ms } = ack;
    const entry = { ...what, version, id: ack.id, from: this.book.me, sent_at_ms };
    const log = this.book.conversations.get(id)?.log;
    const isNext = log?.to === version - 1;
    if (log != null && isNext) for (const message of goneBy(id, log, [entry])) this.book.gone(message);
    this.book.change(id, (now2) => {
      const rest = { ...now2, ...settled };
      return now2.log !== null && isNext ? advanced(rest, append(now2.log, [entry]), this.book.me) : rest;
    });
    const now = this.book.conversations.get(id);
    if (now === void 0) return;
    if (now.log !== null && now.log.to >= version) this.wire.have(now.topic, now.log.to);
    else this.wire.ring(now.topic, version);
  }
  notSent(id, key, error) {
    const why = reason(error);
    this.book.change(id, (now) => ({
      ...now,
      pending: now.pending.map((one) => one.key === key ? { ...one, refused: why } : one)
    }));
  }
};
function reason(error) {
  return error instanceof Error ? error.message : String(error);
}

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
    const timer2 = setTimeout(task, Math.min(ms, LONGEST_TIMEOUT_MS));
    return () => clearTimeout(timer2);
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

// src/client/follower.ts
var SUBSCRIBE_MAX = 1e3;
var Follower = class {
  constructor(hooks, clock2, random) {
    this.hooks = hooks;
    this.clock = clock2;
    this.random = random;
  }
  hooks;
  clock;
  random;
  wanted = /* @__PURE__ */ new Set();
  /** What this session was asked to follow, whether it granted that or not. */
  told = /* @__PURE__ */ new Set();
  /** Moves when `told` begins anew: an answer from before then says nothing. */
  round = 0;
  limit = 0;
  open = false;
  telling = false;
  failures = 0;
  cancelRetry = () => {
  };
  /** Exactly these from now on; of more than the session may follow, the first. */
  want(topics) {
    this.wanted = new Set(topics);
    void this.tell();
  }
  /** A session was registered, which follows at most `limit` topics: none where the server does not offer it. */
  opened(limit) {
    this.open = true;
    this.limit = limit;
    this.failures = 0;
    this.repeat();
  }
  lost() {
    this.open = false;
    this.cancelRetry();
  }
  /** Hints may have been left out: each topic is asked for again, with the version that is held. */
  repeat() {
    this.round += 1;
    this.told.clear();
    void this.tell();
  }
  async tell() {
    if (this.telling || !this.open) return;
    this.telling = true;
    this.cancelRetry();
    try {
      while (this.open && await this.step()) ;
      this.failures = 0;
    } catch (error) {
      this.failed(error);
    }
    this.telling = false;
  }
  /** Says the next difference; `false` where there is none. */
  async step() {
    const wanted = [...this.wanted].slice(0, this.limit);
    const keep = new Set(wanted);
    const gone = [...this.told].filter((topic) => !keep.has(topic)).slice(0, SUBSCRIBE_MAX);
    if (gone.length > 0) {
      await this.hooks.unsubscribe(gone);
      for (const topic of gone) this.told.delete(topic);
      return true;
    }
    const fresh = wanted.filter((topic) => !this.told.has(topic)).slice(0, SUBSCRIBE_MAX);
    if (fresh.length > 0) await this.subscribe(fresh);
    return fresh.length > 0;
  }
  async subscribe(topics) {
    const { round } = this;
    const held = topics.map((topic) => [topic, this.hooks.holds(topic)]);
    this.hooks.ring(await this.ask(Object.fromEntries(held)));
    if (round === this.round) for (const topic of topics) this.told.add(topic);
  }
  /** The versions of those that are followed now. That none of them may be is an answer, too. */
  async ask(topics) {
    try {
      const result = await this.hooks.subscribe(topics);
      return result?.topics ?? {};
    } catch (error) {
      if (error instanceof CallError && error.code === "not_found") return {};
      throw error;
    }
  }
  failed(error) {
    if (!this.open) return;
    const delay = retryDelay(error, this.failures, this.random());
    if (delay === null) {
      this.limit = 0;
      this.told.clear();
      return;
    }
    this.failures += 1;
    this.cancelRetry = this.clock.after(delay, () => void this.tell());
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
    return this.ask(method, (id) => ({ type: "call", id, method, params }));
  }
  subscribe(topics) {
    return this.ask("subscribe", (id) => ({ type: "subscribe", id, topics }));
  }
  unsubscribe(topics) {
    return this.ask("unsubscribe", (id) => ({ type: "unsubscribe", id, topics }));
  }
  signal(topic, data) {
    this.send({ type: "signal", topic, data });
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
  drop(reason2) {
    if (this.over) return;
    this.socket.onclose = null;
    this.socket.onmessage = null;
    this.socket.onopen = null;
    this.socket.close(1e3, reason2);
    this.end(1006, reason2);
  }
  /** Sends a frame that is answered by one reply. */
  ask(what, frame) {
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
    else if (frame.type === "signal") this.hooks.signal(frame);
    else if (frame.type === "error") this.hooks.error(frame);
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
  end(code, reason2) {
    if (this.over) return;
    this.over = true;
    this.cancelTimer();
    for (const pending of this.calls.values()) {
      pending.cancelTimeout();
      pending.reject(new Unanswered("the socket closed before the answer"));
    }
    this.calls.clear();
    this.hooks.closed(this, code, reason2);
  }
};

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
  /** The topic is the user's no longer. */
  leave(topic) {
    this.heads.delete(topic);
    this.held.delete(topic);
    this.waits.delete(topic);
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
  ring(topics) {
    this.pulls.ring(topics, this.clock.now());
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
      this.leave(page2.gone ?? []);
      this.pulls.ring(page2.topics, this.clock.now());
      this.cursor = page2.cursor;
      more = page2.more;
    }
    this.hooks.caughtUp();
  }
  /** These are no longer the user's: should they come back, they begin anew. */
  leave(topics) {
    if (topics.length === 0) return;
    for (const topic of topics) this.pulls.leave(topic);
    this.hooks.gone(topics);
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
    this.sender = new Sender((method, params) => this.call(method, params), this.clock, this.random);
    this.sync = this.makeSync();
    this.follower = this.makeFollower();
  }
  options;
  clock;
  random;
  sync;
  sender;
  follower;
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
  cancelRepeat = () => {
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
  /** A call that may be repeated: sent until it is answered, in order within its lane. */
  act(lane, method, params) {
    return this.sender.act(lane, method, params);
  }
  /** The application has everything of `topic` up to `version`. */
  have(topic, version) {
    this.sync.have(topic, version);
  }
  /** `topic` is known to have reached `version`: pull it as if it had been hinted. */
  ring(topic, version) {
    this.sync.ring({ [topic]: version });
  }
  /** Follow exactly these beside the user's own conversations; they are hinted and pulled like those. */
  follow(topics) {
    this.follower.want(topics);
  }
  /** To the others who are online, now or not at all: without a session it is dropped. */
  signal(topic, data) {
    this.current?.signal(topic, data);
  }
  /** The window came back to the front, or the network did: look now instead of waiting. */
  nudge() {
    if (this.state.name === "waiting") void this.connect(false);
    this.current?.probe();
    this.sync.check();
  }
  makeSync() {
    const hooks = {
      call: (method, params) => this.call(method, params),
      pull: (due) => this.options.pull(due),
      reset: () => {
        this.options.onReset?.();
        this.follower.repeat();
      },
      gone: (topics) => this.options.onGone?.(topics),
      caughtUp: () => this.setState({ name: "live", moving: this.goaway !== null })
    };
    return new Sync(hooks, this.clock, this.random);
  }
  makeFollower() {
    const lost = () => Promise.reject(new Unanswered("not connected"));
    const hooks = {
      subscribe: (topics) => this.current?.subscribe(topics) ?? lost(),
      unsubscribe: (topics) => this.current?.unsubscribe(topics) ?? lost(),
      holds: (topic) => this.sync.holds(topic),
      ring: (topics) => this.sync.ring(topics)
    };
    return new Follower(hooks, this.clock, this.random);
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
      hint: (frame) => this.hinted(frame),
      signal: (frame) => this.options.onSignal?.(frame),
      error: (frame) => this.options.onError?.(frame),
      goaway: (link2, frame) => this.leaving(link2, frame),
      closed: (link2, code, reason2) => this.closed(link2, code, reason2),
      trace: (direction, frame) => this.options.onFrame?.(direction, redacted2(frame))
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
    this.options.onWelcome?.(frame.user, frame.limits);
    this.setState({ name: "catching up" });
    this.sync.opened(frame.heartbeat_ms);
    this.sender.opened();
    this.follower.opened(frame.limits?.subscriptions ?? 0);
  }
  hinted(frame) {
    this.sync.hint(frame);
    if (frame.more !== true && frame.resync !== true) return;
    this.cancelRepeat();
    this.cancelRepeat = this.clock.after(frame.pull_after_ms ?? 0, () => this.follower.repeat());
  }
  leaving(link2, frame) {
    if (link2 !== this.current || this.goaway !== null) return;
    this.goaway = frame;
    if (this.state.name === "live") this.setState({ name: "live", moving: true });
    this.retryAfter(frame.reconnect_after_ms, false);
  }
  closed(link2, code, reason2) {
    const welcomed = link2 === this.current;
    if (link2 === this.next) {
      this.next = null;
      if (this.goaway !== null) delete this.goaway.url;
    } else if (welcomed) {
      this.currentLost();
    } else return;
    this.options.onClosed?.(code, reason2, welcomed);
    this.decide(code, reason2);
  }
  decide(code, reason2) {
    if (this.next !== null || this.retryAt !== null) return this.showWait();
    const decision = verdict(code);
    if (decision.come === "never") this.halt(decision.why, reason2);
    else this.retryAfter(this.backoff(), decision.come === "back with a fresh token");
  }
  currentLost() {
    this.current = null;
    this.cancelSteady();
    this.cancelRenewal();
    this.cancelRepeat();
    this.sync.lost();
    this.sender.lost();
    this.follower.lost();
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
function redacted2(frame) {
  return "token" in frame ? { ...frame, token: "…" } : frame;
}

// src/session.ts
var Session = class {
  book;
  reader;
  writer;
  organizer;
  doorbell;
  typingTimer;
  constructor(url, device, tokens, hooks) {
    this.book = new Book(hooks.changed, hooks.gone);
    this.doorbell = new Doorbell({
      url,
      device,
      client: "doorbell-web/0.1",
      credentials: tokens,
      pull: (due) => this.reader.pull(due),
      onWelcome: (user, limits) => {
        this.book.me = user;
        this.book.features.welcomed(limits);
      },
      onReset: () => this.reader.reset(),
      onGone: (topics) => this.reader.gone(topics),
      onSignal: (signal) => this.heard(signal),
      onError: (error) => {
        if (this.book.features.learnFrom(error)) hooks.changed();
      },
      onFrame: hooks.frame,
      onClosed: hooks.closed,
      onState: (state) => {
        if (state.name === "live") this.reader.live();
        hooks.state(state);
      }
    });
    this.reader = new Reader(this.book, this.doorbell, hooks);
    this.writer = new Writer(this.book, this.doorbell, hooks.refused);
    this.organizer = new Organizer(this.book, this.doorbell, this.reader);
  }
  start() {
    this.doorbell.start();
  }
  stop() {
    clearTimeout(this.typingTimer);
    this.doorbell.stop();
  }
  nudge() {
    this.doorbell.nudge();
  }
  heard({ topic, from, data }) {
    const { book } = this;
    const typing = isTyping(data);
    if (typing === null || from === book.me) return;
    if (typing) book.typing.heard(topic, from, performance.now());
    else book.typing.ended(topic, from);
    book.changed();
    this.forgetTyping();
  }
  /** Nobody says that he stopped: it is drawn again when the time is over. */
  forgetTyping() {
    clearTimeout(this.typingTimer);
    const next = this.book.typing.next(performance.now());
    if (next === null) return;
    this.typingTimer = setTimeout(() => {
      this.book.changed();
      this.forgetTyping();
    }, next - performance.now());
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
function webLinks(media) {
  return media.filter((link2) => {
    try {
      return ["http:", "https:"].includes(new URL(link2).protocol);
    } catch {
      return false;
    }
  });
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
var SVG = "http://www.w3.org/2000/svg";
function icon(name, className = "") {
  const use = document.createElementNS(SVG, "use");
  use.setAttribute("href", `#icon-${name}`);
  const svg = document.createElementNS(SVG, "svg");
  if (className !== "") svg.setAttribute("class", className);
  svg.setAttribute("aria-hidden", "true");
  svg.append(use);
  return svg;
}
function setText(element, text) {
  if (element.textContent !== text) element.textContent = text;
}
function reconcile(parent, items, keyOf, build2, update2) {
  const old = /* @__PURE__ */ new Map();
  for (const child of parent.children) old.set(child.dataset.key ?? "", child);
  let place = parent.firstElementChild;
  for (const item of items) {
    const key = keyOf(item);
    const known = old.get(key);
    old.delete(key);
    const element = known ?? build2(item);
    element.dataset.key = key;
    update2(element, item);
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
  constructor(hooks) {
    this.hooks = hooks;
    byId("composer").addEventListener("submit", (event) => {
      event.preventDefault();
      this.submit();
    });
    byId("editing-cancel").addEventListener("click", () => this.endEditing());
    this.draft.addEventListener("input", () => {
      this.fit();
      if (this.draft.value.trim() !== "" && this.editing === null) hooks.typing();
    });
    this.draft.addEventListener("keydown", (event) => this.pressed(event));
  }
  hooks;
  draft = byId("draft");
  drafts = /* @__PURE__ */ new Map();
  openId = null;
  editing = null;
  /** Changes to another conversation's draft. */
  open(id) {
    if (id === this.openId) return;
    this.endEditing(false);
    if (this.openId !== null) this.drafts.set(this.openId, this.draft.value);
    this.openId = id;
    this.draft.value = id === null ? "" : this.drafts.get(id) ?? "";
    this.fit();
  }
  /** Puts a message into the field, to be changed there. */
  edit(version, text, whose) {
    const draft = this.editing?.draft ?? this.draft.value;
    this.editing = { version, before: text, draft };
    this.draft.value = text;
    byId("editing").hidden = false;
    setText(byId("editing-text"), `Editing ${whose}`);
    this.fit();
    this.draft.focus();
    this.draft.setSelectionRange(text.length, text.length);
  }
  endEditing(focus = true) {
    if (this.editing === null) return;
    this.draft.value = this.editing.draft;
    this.editing = null;
    byId("editing").hidden = true;
    setText(byId("editing-text"), "");
    this.fit();
    if (focus) this.draft.focus();
  }
  pressed(event) {
    if (event.isComposing) return;
    if (event.key === "Escape" && this.editing !== null) this.endEditing();
    else if (event.key === "ArrowUp" && this.draft.value === "") {
      event.preventDefault();
      this.hooks.editLast();
    } else if (event.key === "Enter" && !event.shiftKey) {
      event.preventDefault();
      this.submit();
    }
  }
  submit() {
    const text = this.draft.value.trim();
    if (text === "" || lengthOf(text) > LENGTH_MAX) return;
    const { editing } = this;
    if (editing === null) {
      this.draft.value = "";
      this.fit();
      return this.hooks.send(text);
    }
    this.endEditing();
    if (text !== editing.before) this.hooks.edit(editing.version, text);
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

// src/ui/confirm.ts
function confirmed(question) {
  const dialog = byId("confirm");
  setText(byId("confirm-title"), question.title);
  setText(byId("confirm-text"), question.text);
  setText(byId("confirm-yes"), question.yes);
  dialog.returnValue = "no";
  dialog.showModal();
  return new Promise((resolve) => {
    dialog.addEventListener("close", () => resolve(dialog.returnValue === "yes"), { once: true });
  });
}

// src/chat/rights.ts
function isOwner(conversation, me) {
  return conversation.owner === me;
}
function mayChange(message, conversation, me, features) {
  if (message.kind !== "message" || message.deleted || !features.offers("edits")) return false;
  return message.from === me || isOwner(conversation, me);
}
function mayAdd(conversation, me, features) {
  if (!features.offers("groups") || !isGroup(conversation, me)) return false;
  return !conversation.closed || isOwner(conversation, me);
}
var mayRename = mayAdd;
function mayRemove(conversation, user, me, features) {
  return features.offers("groups") && isGroup(conversation, me) && isOwner(conversation, me) && user !== me;
}
function mayLeave(conversation, me, features) {
  return features.offers("groups") && isGroup(conversation, me);
}

// src/ui/avatar.ts
var HUES = 8;
function paintAvatar(avatar, name, group) {
  avatar.dataset.hue = hueName(name);
  avatar.dataset.shape = group ? "group" : "person";
  setText(avatar, initialOf(name));
}
function hueName(name) {
  return String(hueOf(name, HUES));
}

// src/ui/presence.ts
function paintPresence(mark, person) {
  mark.hidden = person === void 0;
  if (person !== void 0) mark.dataset.presence = person.presence;
}

// src/ui/members.ts
function renderMembers(open, book, remove) {
  reconcile(
    byId("members"),
    open.members,
    (user) => user,
    (user) => build(user, remove),
    (element, user) => update(element, user, open, book)
  );
}
function build(user, remove) {
  const avatar = make("span", "avatar-box", make("span", "avatar"), make("span", "presence"));
  avatar.setAttribute("aria-hidden", "true");
  const take = button("ghost member-remove", "Remove", () => remove(user));
  take.setAttribute("aria-label", `Remove ${user}`);
  take.dataset.testid = "remove-member";
  const names = make("div", "member-names", make("span", "member-name", user), make("span", "member-words"));
  const element = make("li", "member", avatar, names, make("span", "tag"), take);
  element.dataset.testid = "member";
  element.dataset.name = user;
  return element;
}
function update(element, user, open, book) {
  const part = (name) => element.querySelector(`.${name}`);
  const person = book.people.get(user);
  paintAvatar(part("avatar"), user, false);
  paintPresence(part("presence"), person);
  setText(part("member-words"), presenceWords(person, Date.now()));
  const tags = [user === book.me ? "you" : "", user === open.owner ? "owner" : ""].filter((tag) => tag !== "");
  part("tag").hidden = tags.length === 0;
  setText(part("tag"), tags.join(", "));
  part("member-remove").hidden = !mayRemove(open, user, book.me, book.features);
}

// src/ui/details.ts
var Details = class {
  constructor(hooks) {
    this.hooks = hooks;
    this.toggle.addEventListener("click", () => this.isOpen ? this.close() : this.open());
    byId("details-close").addEventListener("click", () => this.close());
    this.section.addEventListener("keydown", (event) => {
      if (event.key === "Escape") this.close();
    });
    this.onSubmit("rename-form", (id) => hooks.rename(id, this.title.value.trim()));
    this.onSubmit("label-form", (id) => hooks.label(id, this.label.value.trim()));
    this.onSubmit("add-form", (id) => this.addNamed(id));
    byId("mute").addEventListener("click", () => this.act((id) => hooks.mute(id, byId("mute").ariaChecked !== "true")));
    byId("members-more").addEventListener("click", () => this.act((id) => hooks.moreMembers(id)));
    byId("leave-group").addEventListener("click", () => void this.leave());
  }
  hooks;
  section = byId("details");
  toggle = byId("details-toggle");
  title = byId("rename");
  label = byId("label");
  add = byId("add");
  shownId = null;
  get isOpen() {
    return !this.section.hidden;
  }
  render(book) {
    const { open } = book;
    this.toggle.hidden = open === null || !book.features.offers("groups");
    if (open === null || open.id !== this.shownId) this.show(false);
    if (open === null || !this.isOpen) return;
    const group = isGroup(open, book.me);
    this.fill(this.title, open.title ?? "");
    this.fill(this.label, open.label ?? "");
    byId("rename-form").hidden = !mayRename(open, book.me, book.features);
    byId("add-form").hidden = !mayAdd(open, book.me, book.features);
    byId("leave-group").hidden = !mayLeave(open, book.me, book.features);
    byId("mute").setAttribute("aria-checked", String(open.muted));
    setText(byId("members-count"), group ? String(open.memberCount) : "");
    setText(byId("members-note"), group ? noteOn(open, book.me) : "");
    byId("members-more").hidden = open.members.length >= open.memberCount;
    renderMembers(open, book, (user) => void this.remove(user));
  }
  /** Closes it where it is open, and says whether it was. */
  closed() {
    const open = this.isOpen;
    if (open) this.close();
    return open;
  }
  open() {
    const id = this.hooks.book()?.openId ?? null;
    if (id === null) return;
    this.shownId = id;
    this.show(true);
    setText(byId("details-error"), "");
    this.add.value = "";
    for (const field of [this.title, this.label]) delete field.dataset.known;
    this.hooks.opened(id);
    byId("details-title").focus();
  }
  close() {
    this.show(false);
    this.toggle.focus();
  }
  show(open) {
    this.section.hidden = !open;
    byId("thread-open").dataset.pane = open ? "details" : "messages";
    this.toggle.setAttribute("aria-expanded", String(open));
    const book = this.hooks.book();
    if (open && book !== null) this.render(book);
  }
  /** What somebody else changed appears, but not over what is being written. */
  fill(field, value) {
    if (field.dataset.known === value) return;
    field.dataset.known = value;
    field.value = value;
  }
  async addNamed(id) {
    const users = namesIn(this.add.value, this.hooks.book()?.me ?? "");
    if (users.length === 0) throw new Error("Name somebody other than yourself.");
    await this.hooks.add(id, users);
    this.add.value = "";
  }
  async remove(user) {
    const text = `${user} will see neither this conversation nor what is written in it from now on.`;
    if (!await confirmed({ title: `Remove ${user}?`, text, yes: "Remove" })) return;
    await this.act((id) => this.hooks.remove(id, user));
    byId("members-title").focus();
  }
  async leave() {
    const text = "You will no longer see it. Somebody in it can add you again.";
    if (await confirmed({ title: "Leave this conversation?", text, yes: "Leave" })) await this.act((id) => this.hooks.leave(id));
  }
  onSubmit(form, act) {
    byId(form).addEventListener("submit", (event) => {
      event.preventDefault();
      void this.act(act);
    });
  }
  async act(act) {
    const id = this.shownId;
    if (id === null) return;
    setText(byId("details-error"), "");
    try {
      await act(id);
    } catch (error) {
      setText(byId("details-error"), reason(error));
    }
  }
};
function noteOn(open, me) {
  if (!open.closed) return "";
  return open.owner === me ? "Closed: only you can add members and change the title." : `Closed: only ${open.owner} can add members and change the title.`;
}

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
  closed = byId("new-closed");
  show() {
    this.members.value = "";
    this.title.value = "";
    this.closed.checked = false;
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
      const group = names.length > 1;
      const title = group ? this.title.value.trim() : "";
      await this.hooks.create({ members: names, title, closed: group && this.closed.checked });
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
  /** `inner` closes what lies over the conversation, and says whether anything did: one step back at a time. */
  constructor(back, inner) {
    this.toggle.addEventListener("click", () => this.setWire(this.app.dataset.wire !== "open"));
    byId("wire-close").addEventListener("click", () => {
      this.setWire(false);
      this.toggle.focus();
    });
    document.addEventListener("keydown", (event) => {
      if (event.key === "Escape" && !WIDE.matches && this.app.dataset.wire === "open") this.setWire(false);
    });
    byId("back").addEventListener("click", () => {
      if (inner()) return;
      if (history.state === OPENED) history.back();
      else back();
    });
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

// src/ui/head.ts
function renderHead(open, book) {
  const name = nameOf(open, book.me);
  const group = isGroup(open, book.me);
  setText(byId("thread-title"), name);
  setText(byId("thread-members"), group ? whoIsThere(open, book.features.offers("presence") ? book.people : null, book.me) : presenceWords(otherOf(open, book), Date.now()));
  paintAvatar(byId("thread-avatar"), name, group);
  paintPresence(byId("thread-presence"), group ? void 0 : otherOf(open, book));
  byId("thread-label").hidden = open.label === null || open.label === "";
  setText(byId("thread-label"), open.label ?? "");
  byId("thread-muted").toggleAttribute("hidden", !open.muted);
  setText(byId("messages-start"), beginning(open, name, group));
  renderTyping(open, book);
}
function otherOf(conversation, book) {
  return book.people.get(othersIn(conversation, book.me)[0] ?? "");
}
function beginning(open, name, group) {
  if (open.log === null) return "Loading…";
  if (open.log.after > 0) return "Loading earlier messages…";
  return group ? `This is the beginning of ${name}.` : `This is the beginning of your conversation with ${name}.`;
}
function renderTyping(open, book) {
  const words = typingWords(book.typing.who(open.topic, performance.now()));
  byId("typing").dataset.shown = String(words !== "");
  setText(byId("typing-text"), words);
}

// src/ui/times.ts
var clock = new Intl.DateTimeFormat(void 0, { hour: "2-digit", minute: "2-digit" });
var weekday = new Intl.DateTimeFormat(void 0, { weekday: "long" });
var date = new Intl.DateTimeFormat(void 0, { day: "numeric", month: "long" });
var dateYear = new Intl.DateTimeFormat(void 0, { day: "numeric", month: "long", year: "numeric" });
var full = new Intl.DateTimeFormat(void 0, { dateStyle: "full", timeStyle: "medium" });
var DAY_MS2 = 864e5;
function timeOfDay(ms) {
  return clock.format(ms);
}
function fullTime(ms) {
  return full.format(ms);
}
function dayName(ms, nowMs = Date.now()) {
  const days = Math.round((midnight(nowMs) - midnight(ms)) / DAY_MS2);
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
function buildItem(id, select) {
  const avatar = make("span", "avatar-box", make("span", "avatar"), make("span", "presence"));
  avatar.setAttribute("aria-hidden", "true");
  const muted = icon("mute", "muted-mark");
  muted.setAttribute("role", "img");
  muted.setAttribute("aria-label", "muted");
  muted.removeAttribute("aria-hidden");
  const open = make(
    "button",
    "item",
    avatar,
    make("span", "item-head", make("span", "item-name"), make("span", "item-presence sr-only"), make("span", "label")),
    make("span", "item-time"),
    make("span", "item-last"),
    make("span", "item-marks", muted, make("span", "badge"), make("span", "item-unread sr-only"))
  );
  open.querySelector(".badge")?.setAttribute("aria-hidden", "true");
  open.type = "button";
  open.dataset.testid = "conversation";
  open.addEventListener("click", () => select(id));
  return make("li", "", open);
}
function updateItem(element, conversation, book) {
  const part = (name2) => element.querySelector(`.${name2}`);
  const name = nameOf(conversation, book.me);
  const group = isGroup(conversation, book.me);
  const person = group ? void 0 : otherOf(conversation, book);
  const item = part("item");
  item.dataset.name = name;
  if (conversation.id === book.openId) item.setAttribute("aria-current", "true");
  else item.removeAttribute("aria-current");
  paintAvatar(part("avatar"), name, group);
  paintPresence(part("presence"), person);
  setText(part("item-name"), name);
  setText(part("item-presence"), presenceWords(person, Date.now()));
  setText(part("label"), conversation.label ?? "");
  part("label").hidden = (conversation.label ?? "") === "";
  part("muted-mark").toggleAttribute("hidden", !conversation.muted);
  setText(part("item-time"), shortMoment(conversation.updatedAtMs));
  updateLast(part("item-last"), conversation, book);
  updateBadge(part("badge"), conversation);
  setText(part("item-unread"), conversation.unread > 0 ? `${conversation.unread} unread` : "");
}
function updateLast(element, conversation, book) {
  const [writer] = book.typing.who(conversation.topic, performance.now());
  element.classList.toggle("is-typing", writer !== void 0);
  if (writer === void 0) return setText(element, lastLine(conversation, book.me));
  setText(element, isGroup(conversation, book.me) ? `${writer} is typing…` : "typing…");
}
function updateBadge(badge, { unread, muted }) {
  badge.hidden = unread === 0;
  badge.dataset.testid = "unread";
  badge.classList.toggle("quiet", muted);
  setText(badge, unread > 99 ? "99+" : String(unread));
}
function lastLine(conversation, me) {
  const { last } = conversation;
  if (last === null) return "No messages yet";
  if (last.deleted === true || last.kind === "delete") return "Message deleted";
  const text = (last.text ?? "") === "" ? last.media?.[0] ?? "" : last.text ?? "";
  if (last.from === me) return `You: ${text}`;
  return isGroup(conversation, me) ? `${last.from}: ${text}` : text;
}

// src/ui/me.ts
var WORDS = {
  // Whoever reads this is there.
  auto: "Online",
  online: "Online",
  away: "Away",
  busy: "Busy",
  invisible: "Invisible"
};
var MARKS = { auto: "online", online: "online", away: "away", busy: "busy", invisible: "offline" };
var Me = class {
  constructor(hooks) {
    this.hooks = hooks;
    this.menu.addEventListener("toggle", (event) => {
      const opened = event.newState === "open";
      byId("my-status").setAttribute("aria-expanded", String(opened));
      if (opened) this.fill();
    });
    this.form.addEventListener("submit", (event) => {
      event.preventDefault();
      void this.save();
    });
  }
  hooks;
  menu = byId("status-menu");
  form = byId("status-form");
  words = byId("status-words");
  render(book) {
    setText(byId("me"), book.me);
    byId("my-status").hidden = !book.features.offers("status");
    const state = book.mine?.state ?? "auto";
    byId("my-presence").dataset.presence = MARKS[state];
    const text = book.mine?.text ?? "";
    setText(byId("my-status-text"), text === "" ? WORDS[state] : text);
  }
  fill() {
    const { state, text } = this.hooks.mine() ?? { state: "auto", text: "" };
    for (const radio of this.radios()) radio.checked = radio.value === state;
    this.words.value = text;
    setText(byId("status-error"), "");
    this.radios().find((radio) => radio.checked)?.focus();
  }
  async save() {
    const state = this.radios().find((radio) => radio.checked)?.value ?? "auto";
    try {
      await this.hooks.save(state, this.words.value.trim());
      this.menu.hidePopover();
      byId("my-status").focus();
    } catch (error) {
      setText(byId("status-error"), reason(error));
    }
  }
  radios() {
    return [...this.form.querySelectorAll('input[name="state"]')];
  }
};

// src/ui/message-menu.ts
var GAP_PX = 4;
var MessageMenu = class {
  menu = byId("message-menu");
  items = [byId("menu-edit"), byId("menu-delete")];
  version = 0;
  opener = null;
  constructor(hooks) {
    byId("menu-edit").addEventListener("click", () => this.choose(hooks.edit));
    byId("menu-delete").addEventListener("click", () => this.choose(hooks.remove));
    this.menu.addEventListener("keydown", (event) => this.moved(event));
    this.menu.addEventListener("toggle", (event) => {
      const open = event.newState === "open";
      this.opener?.setAttribute("aria-expanded", String(open));
    });
  }
  /** Opens beside the button of a message. */
  open(version, opener) {
    this.version = version;
    this.opener = opener;
    this.menu.showPopover();
    this.place(opener.getBoundingClientRect());
    this.items[0]?.focus();
  }
  choose(act) {
    this.menu.hidePopover();
    this.opener?.focus();
    act(this.version);
  }
  /** Below the button, or above it where there is no room; never beyond the window. */
  place(button2) {
    const { width, height } = this.menu.getBoundingClientRect();
    const below = button2.bottom + GAP_PX;
    const top = below + height < innerHeight ? below : button2.top - height - GAP_PX;
    const left = Math.min(Math.max(GAP_PX, button2.right - width), innerWidth - width - GAP_PX);
    this.menu.style.top = `${Math.max(GAP_PX, top)}px`;
    this.menu.style.left = `${left}px`;
  }
  moved(event) {
    const { items } = this;
    const at = items.indexOf(document.activeElement);
    const next = { ArrowDown: at + 1, ArrowUp: at - 1, Home: 0, End: items.length - 1 };
    if (event.key === "Tab") {
      this.menu.hidePopover();
      this.opener?.focus();
      return;
    }
    const to = next[event.key];
    if (to === void 0) return;
    event.preventDefault();
    items[(to + items.length) % items.length]?.focus();
  }
};

// src/ui/status.ts
var WORDS2 = {
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
    setText(byId("status-text"), state.name === "live" && state.moving ? "Moving" : WORDS2[state.name]);
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
    rows.push(lineFor(message, conversation.amending, me, before));
    before = message.kind === "message" ? { from: message.from, atMs: message.sentAtMs } : null;
  }
  for (const pending of conversation.pending) {
    rows.push({ kind: "pending", key: pending.key, pending, follows: before?.from === me });
    before = { from: me, atMs: pending.writtenAtMs };
  }
  return rows;
}
function lineFor(message, amending, me, before) {
  const key = `v${message.version}`;
  if (message.kind === "rename") return { kind: "note", key, from: message.from, text: message.text };
  const follows = before?.from === message.from && message.sentAtMs - before.atMs < TOGETHER_MS;
  const mine = message.from === me;
  const text = amending.get(message.version);
  if (text === void 0) return { kind: "message", key, message, mine, follows, saving: false };
  const soon = text === null ? { ...message, text: "", media: [], deleted: true } : { ...message, text };
  return { kind: "message", key, message: soon, mine, follows, saving: true };
}

// src/ui/row.ts
var NAMED_AFTER_MAX = 40;
function buildRow(row, group, actions) {
  switch (row.kind) {
    case "day":
      return make("li", "row-day", make("span", ""));
    case "new":
      return make("li", "row-new", make("span", "", "New"));
    case "note":
      return make("li", "row-note", `${row.from} named the conversation “${row.text}”`);
    case "message":
      return buildMessage(row, group, actions);
    case "pending":
      return buildPending(row.key, actions);
  }
}
function updateRow(element, row, mayChange2) {
  if (row.kind === "day") setText(element.firstElementChild, dayName(row.atMs));
  if (row.kind === "message") updateMessage(element, row, mayChange2(row));
  if (row.kind === "pending") updatePending(element, row);
}
function buildMessage({ message, mine }, group, actions) {
  const author = make("span", mine || !group ? "sr-only" : "author", mine ? "You" : message.from);
  author.dataset.hue = hueName(message.from);
  const bubble = make("div", "bubble", author, make("div", "text"), make("time", "time"));
  const menu = button("row-menu", "", () => actions.menu(message.version, menu));
  menu.append(icon("more"));
  menu.setAttribute("aria-haspopup", "menu");
  menu.setAttribute("aria-expanded", "false");
  menu.tabIndex = -1;
  menu.dataset.testid = "message-actions";
  const element = make("li", mine ? "row mine" : "row", make("div", "line", bubble, menu));
  element.dataset.testid = "message";
  element.dataset.from = message.from;
  return element;
}
function updateMessage(element, row, mayChange2) {
  const { message } = row;
  element.dataset.version = String(message.version);
  element.classList.toggle("follows", row.follows);
  element.classList.toggle("deleted", message.deleted);
  element.classList.toggle("saving", row.saving);
  fillText(element, message.deleted ? "Message deleted" : message.text);
  fillMedia(element, message.media);
  const time = element.querySelector("time");
  time.dateTime = new Date(message.sentAtMs).toISOString();
  time.title = `${fullTime(message.sentAtMs)}, version ${message.version}`;
  setText(time, `${markOf(row)}${timeOfDay(message.sentAtMs)}`);
  const menu = element.querySelector(".row-menu");
  menu.hidden = !mayChange2 || row.saving;
  const whose = row.mine ? "your message" : `the message of ${message.from}`;
  menu.setAttribute("aria-label", `Change ${whose}: ${message.text.slice(0, NAMED_AFTER_MAX)}`);
}
function markOf({ message, saving }) {
  if (saving) return "saving ";
  if (message.deleted || message.editedBy === null) return "";
  return message.editedBy === message.from ? "edited " : `edited by ${message.editedBy} `;
}
function buildPending(key, actions) {
  const bubble = make("div", "bubble", make("div", "text"), make("span", "time"));
  const refused2 = make("div", "refused");
  refused2.setAttribute("role", "alert");
  refused2.append(
    make("span", "refused-why"),
    button("link", "Send again", () => actions.retry(key)),
    button("link", "Discard", () => actions.discard(key))
  );
  const element = make("li", "row mine pending", make("div", "line", bubble), refused2);
  element.dataset.testid = "pending";
  return element;
}
function updatePending(element, row) {
  const { refused: refused2, text } = row.pending;
  element.classList.toggle("follows", row.follows);
  element.classList.toggle("is-refused", refused2 !== null);
  fillText(element, text);
  setText(element.querySelector(".time"), refused2 === null ? "sending" : "not sent");
  element.querySelector(".refused").hidden = refused2 === null;
  setText(element.querySelector(".refused-why"), refused2 ?? "");
}
function fillText(element, text) {
  const target = element.querySelector(".text");
  if (target.textContent === text) return;
  target.replaceChildren(...pieces(text).map(({ text: part, href }) => href === null ? part : link(href)));
}
function fillMedia(element, media) {
  const links = webLinks(media);
  const known = element.querySelector(".media");
  if (known?.childElementCount === links.length || known === null && links.length === 0) return;
  known?.remove();
  if (links.length === 0) return;
  const list = make("ul", "media", ...links.map((href) => make("li", "", link(href))));
  element.querySelector(".text")?.after(list);
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
    this.rows.addEventListener("keydown", (event) => this.walked(event));
    this.rows.addEventListener("focusin", (event) => this.rove(event.target));
    new ResizeObserver(() => this.sticky && this.toEnd()).observe(this.box);
  }
  hooks;
  box = byId("messages");
  rows = byId("rows");
  jump = byId("jump");
  shownId = null;
  sticky = true;
  /** The button of a message that had the focus last. */
  lastUsed = null;
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
    renderHead(open, book);
    this.renderRows(open, book);
  }
  /** The version of the newest message that this user wrote and may change. */
  newestOwn() {
    const newest = [...this.rows.querySelectorAll(".row.mine:not(.pending)")].at(-1);
    const menu = newest?.querySelector(".row-menu");
    return newest === void 0 || menu == null || menu.hidden ? null : Number(newest.dataset.version);
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
      (element, row) => updateRow(element, row, ({ message }) => mayChange(message, open, book.me, book.features))
    );
    this.rove(null);
    if (this.sticky) this.box.scrollTop = this.box.scrollHeight;
    else if (anchor !== void 0) this.box.scrollTop += anchor.getBoundingClientRect().top - before;
    this.renderJump(open);
    if (this.box.scrollHeight <= this.box.clientHeight) this.hooks.older();
  }
  /** All the messages' buttons are one stop of the Tab key: the one last used, or else the newest. */
  rove(focused) {
    if (focused?.classList.contains("row-menu")) this.lastUsed = focused;
    const menus = this.menus();
    const now = menus.find((menu) => menu === this.lastUsed) ?? menus.at(-1);
    for (const menu of menus) menu.tabIndex = menu === now ? 0 : -1;
  }
  walked(event) {
    const menus = this.menus();
    const at = menus.indexOf(event.target);
    const step = { ArrowUp: -1, ArrowDown: 1 }[event.key];
    if (at < 0 || step === void 0) return;
    event.preventDefault();
    menus[at + step]?.focus();
  }
  menus() {
    return [...this.rows.querySelectorAll(".row-menu:not([hidden])")];
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

// src/ui/toast.ts
var SHOWN_MS2 = 7e3;
var timer;
function toast(text) {
  const element = byId("toast");
  element.textContent = text;
  clearTimeout(timer);
  timer = setTimeout(() => element.textContent = "", SHOWN_MS2);
}

// src/wire/describe.ts
var PULLS = /* @__PURE__ */ new Set(["topics.changes", "conversations.list", "conversations.get", "messages.list", "status.get"]);
var NOT_OFFERED = /* @__PURE__ */ new Set(["unsupported", "unknown_method", "unknown_type"]);
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
    case "subscribe":
      return { kind: "session", label: "subscribe", phrase: `tell me of ${topicsIn(Object.keys(frame.topics))}, too` };
    case "unsubscribe":
      return { kind: "session", label: "unsubscribe", phrase: `no more of ${topicsIn(frame.topics)}` };
    case "signal":
      return { kind: "signal", label: "signal", phrase: signalPhrase(direction, frame) };
    case "call":
      return { kind: kindOf(frame.method), label: frame.method, phrase: callPhrase(frame.method, frame.params) };
    case "reply":
      return replied(frame, call);
    case "ping":
      return { kind: "beat", label: "ping", phrase: "still there?" };
    case "pong":
      return { kind: "beat", label: "pong", phrase: "still here" };
    case "error":
      return refused("error", frame);
    default:
      return { kind: "session", label: String(frame.type), phrase: direction };
  }
}
function kindOf(method) {
  if (method === "subscribe" || method === "unsubscribe") return "session";
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
var ASKED = {
  "conversations.list": "which conversations do I have?",
  "conversations.get": "how is this conversation?",
  "conversations.create": "start a conversation",
  "conversations.update": "change how it is called or kept",
  "messages.send": "append this message"
};
function callPhrase(method, params) {
  switch (method) {
    case "topics.changes":
      return params.cursor === void 0 ? "what is there?" : "what changed since my cursor?";
    case "messages.list":
      return params.after === void 0 ? `messages before ${params.before}?` : `messages after ${params.after}?`;
    case "messages.edit":
      return `append: ${params.of} reads otherwise now`;
    case "messages.delete":
      return `append: ${params.of} is gone`;
    case "conversations.mark_read":
      return `read up to ${params.version}`;
    case "members.add":
      return `let ${namesIn2(params.users)} in`;
    case "members.remove":
      return `${namesIn2(params.users)} leaves`;
    case "status.get":
      return `how is ${namesIn2(params.users)}?`;
    case "status.set":
      return `I am ${params.state}`;
    default:
      return ASKED[method] ?? "";
  }
}
function signalPhrase(direction, frame) {
  const typing = frame.data?.typing === true ? "typing" : "something that passes";
  return direction === "sent" ? `I am ${typing}` : `${frame.from}: ${typing}`;
}
function replied(reply, call) {
  const method = call?.method ?? "reply";
  if (reply.error != null) {
    return refused(`${method} ✗`, reply.error);
  }
  const result = reply.result ?? {};
  return { kind: kindOf(method), label: `${method} ✓`, phrase: resultPhrase(method, result) };
}
function refused(label, error) {
  if (NOT_OFFERED.has(error.code)) return { kind: "beat", label, phrase: "not offered by this server" };
  return { kind: "error", label, phrase: `${error.code}: ${error.message}` };
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
    case "messages.edit":
    case "messages.delete":
      return `stored as version ${result.version}`;
    case "members.add":
    case "members.remove":
      return `${count(Number(result.members), "member")} now`;
    case "status.get":
      return Object.entries(result).map(([user, status]) => `${user} ${status.state}`).join(", ");
    case "subscribe":
      return `following ${topicsIn(Object.keys(result.topics ?? {}))}`;
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
function topicsIn(topics) {
  const [first] = topics;
  return topics.length === 1 && first !== void 0 ? shortTopic(first) : `${topics.length} topics`;
}
function namesIn2(users) {
  const names = Array.isArray(users) ? users : [];
  return names.length > 3 ? `${names.length} people` : names.join(", ");
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

// src/wire/forget.ts
var MARK = "(deleted)";
var CONTENT = /* @__PURE__ */ new Set(["text", "media", "meta"]);
function without(value, gone) {
  if (typeof value !== "object" || value === null) return value;
  const hers = says(value, gone);
  let changed2 = false;
  const copy = {};
  for (const [name, inner] of Object.entries(value)) {
    const kept = hers && CONTENT.has(name) ? MARK : without(inner, gone);
    changed2 ||= kept !== inner;
    copy[name] = kept;
  }
  if (!changed2) return value;
  return Array.isArray(value) ? Object.values(copy) : copy;
}
function says(value, gone) {
  if (value.id === gone.id && "version" in value) return true;
  if (typeof value.text !== "string" || !gone.texts.includes(value.text)) return false;
  return value.of === gone.version || value.conversation === gone.conversation;
}

// src/wire/lessons.ts
var OF_FRAMES = {
  hello: "The first frame of every session: who I am. The token is not shown here.",
  welcome: "The session is registered. From now on every change is hinted; what came before, topics.changes shows.",
  token: "Sessions outlive tokens: a fresh one goes over the same socket.",
  subscribe: "A user’s own conversations are followed by the server itself. This asks for more: who is there.",
  unsubscribe: "These are not shown any more, so nobody needs to ring for them.",
  signal: "Passes by: not stored, not repeated, at most once. So it may carry content, and nothing depends on it.",
  goaway: "This server is about to stop. A new socket opens first, and only then is the old one left: nothing is missed.",
  ping: "A browser’s page cannot see the WebSocket’s own pings, so it sends one of its own when it hears nothing.",
  pong: "The connection is alive.",
  error: "About a frame that has no id to be answered by."
};
var OF_METHODS = {
  "topics.changes": "The cursor is a place in everything that concerns me. After any break one question finds all that I missed.",
  "messages.list": "The pull. It names the version I have, so it can be repeated and never brings anything twice or leaves anything out.",
  "conversations.list": "Many conversations changed, or the list itself: one question instead of many.",
  "conversations.get": "A conversation changed that is not open here: only its line in the list is read.",
  "conversations.mark_read": "The greatest version wins, so repeating it is harmless. My other windows are rung.",
  "conversations.create": "The key makes it happen once, however often it is sent.",
  "conversations.update": "The title is for all, and becomes an entry of the log. Label and mute are mine alone.",
  "members.add": "Whoever comes in is rung on their inbox, and finds the conversation in their list.",
  "members.remove": "Whoever leaves is rung a last time, and no longer finds it.",
  "messages.send": "Answered when it is on the disk. The key makes it count once, even if the answer is lost and it is sent again.",
  "messages.edit": "An edit is an entry of its own: the log only grows, and whoever pulls it sees the message change.",
  "messages.delete": "A delete is an entry of its own. The message stays as an entry without content.",
  "status.get": "The pull that follows the hint of a person: a hint only said that something about them is new.",
  "status.set": "Moves the version of my presence; whoever follows it is rung."
};
var HINT = "It names a topic and a version, never content. So it may come late, twice, or merged with the next one, and nothing is lost: the pull brings everything.";
var PACED = " Many are rung at once here: each is told to wait a little, so that their pulls do not come as one wave.";
function lessonOf(frame, call) {
  if (frame.type === "hint") return HINT + ((frame.pull_after_ms ?? 0) > 0 ? PACED : "");
  if (frame.type === "call") return OF_METHODS[frame.method] ?? "";
  if (frame.type === "reply") return OF_METHODS[call?.method ?? ""] ?? OF_FRAMES[call?.method ?? ""] ?? "";
  return OF_FRAMES[frame.type] ?? "";
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
    if (frame.type === "subscribe" || frame.type === "unsubscribe") {
      this.asked.set(frame.id, { method: frame.type, params: {}, number, hinted: false });
    }
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
    if (method === "status.get") {
      const users = Array.isArray(params.users) ? params.users : [];
      return topics.filter((topic) => users.some((user) => topic === `presence:${user}`));
    }
    if (method !== "messages.list" && method !== "conversations.get") return [];
    return topics.filter((topic) => topic === `conversation:${params.conversation}`);
  }
};

// src/ui/wire.ts
var FRAMES_MAX = 400;
var COMPACT_MAX = 240;
var END_PX2 = 40;
var LESSON = "doorbell.lesson";
var WirePanel = class {
  list = byId("frames");
  lesson = byId("lesson");
  /** What each line shows. */
  frames = /* @__PURE__ */ new Map();
  trail = new Trail();
  count = 0;
  constructor() {
    byId("wire-clear").addEventListener("click", () => this.clear());
    this.lesson.open = localStorage.getItem(LESSON) !== "closed";
    this.lesson.addEventListener("toggle", () => localStorage.setItem(LESSON, this.lesson.open ? "open" : "closed"));
  }
  clear() {
    this.list.replaceChildren();
    this.frames.clear();
  }
  add(direction, frame) {
    const number = this.count++;
    const { call, from } = this.trail.place(frame, number);
    const element = this.build(direction, frame, call);
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
  /** A message was deleted: no frame that is kept here says what it was. */
  forget(message) {
    for (const [element, { frame, call }] of this.frames) {
      const rest = without(frame, message);
      if (rest === frame) continue;
      this.frames.set(element, { frame: rest, call });
      element.querySelector(".frame-json").textContent = compact(rest);
      const full2 = element.querySelector(".frame-full");
      if (full2 !== null) full2.textContent = JSON.stringify(rest, null, 2);
    }
  }
  append(element) {
    const { list } = this;
    const atEnd = list.scrollHeight - list.scrollTop - list.clientHeight < END_PX2;
    list.append(element);
    while (list.childElementCount > FRAMES_MAX) this.dropFirst();
    if (atEnd) list.scrollTop = list.scrollHeight;
  }
  dropFirst() {
    const first = this.list.firstElementChild;
    this.frames.delete(first);
    first.remove();
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
  build(direction, frame, call) {
    const said = describe(direction, frame, call);
    const arrow = make("span", "frame-arrow", direction === "sent" ? "↑" : "↓");
    arrow.title = direction;
    const summary = make(
      "summary",
      "",
      arrow,
      make("span", "frame-label", said.label),
      make("span", "frame-phrase", said.phrase),
      make("code", "frame-json", compact(frame)),
      make("time", "frame-time", stamp(Date.now()))
    );
    const details = make("details", "", summary);
    const element = make("li", "frame", details);
    details.addEventListener("toggle", () => this.unfold(details, element));
    Object.assign(element.dataset, { testid: "frame", kind: said.kind, direction, type: frame.type, label: said.label });
    this.frames.set(element, { frame, call });
    return element;
  }
  /** The whole frame is laid out only when somebody asks for it. */
  unfold(details, element) {
    const kept = this.frames.get(element);
    if (!details.open || details.childElementCount > 1 || kept === void 0) return;
    const lesson = lessonOf(kept.frame, kept.call);
    if (lesson !== "") details.append(make("p", "frame-why", lesson));
    details.append(make("pre", "frame-full", JSON.stringify(kept.frame, null, 2)));
  }
};
function previous(element) {
  return element?.previousElementSibling ?? null;
}
function compact(frame) {
  const { type: _, ...rest } = frame;
  const json = JSON.stringify(rest);
  return json.length > COMPACT_MAX ? `${json.slice(0, COMPACT_MAX)}…` : json;
}

// src/page.ts
var WORDS_AGE_MS = 3e4;
var Page = class {
  /** `leave` shows the door again, with the reason where there is one. */
  constructor(leave) {
    this.leave = leave;
    new NewDialog({
      me: () => this.session?.book.me ?? "",
      create: async (beginning2) => this.session?.organizer.create(beginning2),
      created: () => this.select(this.session?.book.openId ?? null)
    });
    byId("leave").addEventListener("click", () => this.session?.stop());
    byId("list-more").addEventListener("click", () => {
      void this.session?.reader.loadMoreConversations().catch(ignoreUntilNextTime);
    });
    this.listen();
  }
  leave;
  session = null;
  renderQueued = false;
  /** The conversation that the user is leaving: its end is no news. */
  leaving = null;
  layout = new Layout(
    () => this.select(null),
    () => this.details.closed()
  );
  status = new StatusPill(() => this.session?.nudge());
  wire = new WirePanel();
  me = new Me({
    mine: () => this.session?.book.mine ?? null,
    save: async (state, text) => this.session?.reader.people.setMine(state, text)
  });
  composer = new Composer({
    send: (text) => this.send(text),
    edit: (version, text) => this.session?.writer.edit(version, text),
    editLast: () => this.edit(this.thread.newestOwn()),
    typing: () => this.session?.writer.typing(performance.now())
  });
  menu = new MessageMenu({
    edit: (version) => this.edit(version),
    remove: (version) => void this.remove(version)
  });
  thread = new Thread({
    older: () => void this.session?.reader.loadOlder().catch(ignoreUntilNextTime),
    moved: () => this.changed(),
    retry: (key) => this.session?.writer.retry(key),
    discard: (key) => this.session?.writer.discard(key),
    menu: (version, opener) => this.menu.open(version, opener)
  });
  details = this.makeDetails();
  listen() {
    addEventListener("focus", () => this.changed());
    addEventListener("online", () => this.session?.nudge());
    addEventListener("offline", () => this.session?.nudge());
    document.addEventListener("visibilitychange", () => {
      if (document.visibilityState === "visible") this.session?.nudge();
      this.changed();
    });
    setInterval(() => this.aged(), WORDS_AGE_MS);
  }
  /** What no hint tells of: how long ago somebody was seen, who else came into a group, how many of a large one are there. */
  aged() {
    const open = this.session?.book.open;
    const seen = document.visibilityState === "visible" && (this.details.isOpen || open?.online != null);
    if (seen && open != null) void this.session?.reader.refresh(open.id).catch(ignoreUntilNextTime);
    this.changed();
  }
  makeDetails() {
    return new Details({
      book: () => this.session?.book ?? null,
      opened: (id) => void this.session?.reader.refresh(id).catch(ignoreUntilNextTime),
      rename: async (id, title) => this.session?.organizer.rename(id, title),
      label: async (id, label) => this.session?.organizer.label(id, label),
      mute: async (id, muted) => this.session?.organizer.mute(id, muted),
      add: async (id, users) => this.session?.organizer.addMembers(id, users),
      remove: async (id, user) => this.session?.organizer.removeMember(id, user),
      moreMembers: async (id) => this.session?.reader.loadMoreMembers(id),
      leave: async (id) => {
        this.leaving = id;
        await this.session?.organizer.leave(id);
        this.select(null);
      }
    });
  }
  enter(tokens, device) {
    const url = `${location.protocol === "https:" ? "wss" : "ws"}://${location.host}/v1/ws`;
    this.layout.show();
    this.session = new Session(url, device, tokens, {
      changed: () => this.changed(),
      attentive: () => this.attentive(),
      arrived: (conversation, entries) => announce(conversation, entries),
      state: (state) => this.showState(state),
      gone: (message) => this.forget(message),
      refused: (why) => toast(why),
      closed: (code, reason2, welcomed) => this.wire.note(closedNote(code, reason2, welcomed)),
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
    byId("app").dataset.live = String(state.name === "live");
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
  /** The open conversation is the user's no longer: somebody removed them, or they left it elsewhere. */
  ousted() {
    if (this.session?.book.openId !== this.leaving) toast("You are no longer in this conversation.");
    this.select(null);
  }
  send(text) {
    this.session?.writer.send(text);
    this.thread.toEnd();
  }
  edit(version) {
    const message = this.find(version);
    const me = this.session?.book.me;
    if (message !== void 0) this.composer.edit(message.version, message.text, message.from === me ? "your message" : `the message of ${message.from}`);
  }
  async remove(version) {
    const text = "It goes for everybody, and nobody can bring it back.";
    if (await confirmed({ title: "Delete this message?", text, yes: "Delete" })) this.session?.writer.remove(version);
    byId("messages").focus();
  }
  find(version) {
    return shown(this.session?.book.open?.log?.entries ?? []).find((one) => one.version === version);
  }
  /** What was deleted stays neither on the panel nor in what is read aloud. */
  forget(message) {
    this.wire.forget(message);
    const announced = byId("announcer").textContent ?? "";
    if (message.texts.some((text) => announced.includes(text))) setText(byId("announcer"), "");
  }
  attentive() {
    return document.visibilityState === "visible" && document.hasFocus() && this.thread.atEnd && !this.details.isOpen;
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
    session.reader.people.follow();
    if (book.openId !== null && book.listLoaded && book.open === null) this.ousted();
    this.me.render(book);
    renderList(book, (id) => this.select(id));
    this.thread.render(book);
    this.details.render(book);
    this.composer.open(book.openId);
    const unread = unreadTotal(book.conversations.values());
    document.title = unread > 0 ? `(${unread}) Doorbell` : "Doorbell";
    if (this.attentive()) session.writer.seen();
  }
};
function closedNote(code, reason2, welcomed) {
  if (code === 1006) return welcomed ? "connection lost" : "could not connect";
  return `socket closed: ${code}${reason2 === "" ? "" : `, ${reason2}`}`;
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
