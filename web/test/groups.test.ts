/** Groups, changed messages, people and what an older server lacks, without a page. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { Book } from "../src/chat/book.ts";
import { advanced, isGroup, merged, nameOf, unreadTotal } from "../src/chat/conversation.ts";
import type { Conversation } from "../src/chat/conversation.ts";
import type { Gone } from "../src/chat/log.ts";
import { Organizer } from "../src/chat/organizer.ts";
import { Reader } from "../src/chat/reader.ts";
import { mayAdd, mayChange, mayLeave, mayRemove } from "../src/chat/rights.ts";
import { rowsOf } from "../src/chat/rows.ts";
import { Writer } from "../src/chat/writer.ts";
import { CallError } from "../src/client/errors.ts";
import type { Summary } from "../src/client/methods.ts";
import { settle } from "./fakes.ts";
import { FakeWire } from "./server.ts";

const LIMITS = { frame_bytes: 131_072, subscriptions: 1_000, calls_per_second: 20 };

/** Alice, with conversation `c` of hers and Bob's open, on a server that has everything. */
async function opened(extra: Partial<Summary> = {}) {
  const wire = new FakeWire("alice");
  wire.extra = { member_count: 2, owner: "alice", ...extra };
  const gone: Gone[] = [];
  const refused: string[] = [];
  const book = new Book(() => {}, (message) => gone.push(message));
  book.me = "alice";
  book.features.welcomed(LIMITS);
  book.features.sawStatus();
  const reader = new Reader(book, wire, { attentive: () => true, arrived: () => {} });
  const writer = new Writer(book, wire, (why) => refused.push(why));
  const organizer = new Organizer(book, wire, reader);
  wire.append("c", "bob", "one");
  wire.append("c", "alice", "two");
  await reader.pull([{ topic: "window:list", after: 0, version: 1 }]);
  await reader.show("c");
  const pull = async () => {
    const version = wire.conversations.get("c")?.length ?? 0;
    await reader.pull([{ topic: "conversation:c", after: 0, version }]);
  };
  const open = () => book.open as Conversation;
  const lines = () => rowsOf(open(), "alice", null).flatMap((row) => (row.kind === "message" ? [row.message] : []));
  return { wire, book, reader, writer, organizer, gone, refused, pull, open, lines };
}

test("an edit shows at once, then for good, and one that is refused is taken back", async () => {
  const v = await opened();
  v.writer.edit(2, "two, better");
  assert.deepEqual(v.lines().map((one) => one.text), ["one", "two, better"]);
  assert.equal(v.open().amending.size, 1);
  await settle();
  assert.equal(v.open().amending.size, 0);
  assert.deepEqual(v.lines().map((one) => [one.text, one.editedBy]), [["one", null], ["two, better", "alice"]]);
  assert.equal(v.open().last?.text, "two, better");
  v.wire.refuse = new CallError({ code: "forbidden", message: "not yours" });
  v.writer.edit(1, "mine now");
  await settle();
  assert.deepEqual(v.lines().map((one) => one.text), ["one", "two, better"]);
  assert.deepEqual(v.refused, ["not yours"]);
});

test("a deleted message stays as an entry, and nothing here keeps what it said", async () => {
  const v = await opened();
  v.wire.add("c", { kind: "edit", of: 1, from: "bob", text: "one, edited" });
  await v.pull();
  v.wire.add("c", { kind: "delete", of: 1, from: "bob" });
  await v.pull();
  assert.deepEqual(v.lines().map((one) => [one.text, one.deleted]), [["", true], ["two", false]]);
  assert.ok(!JSON.stringify([...v.book.conversations.values()]).includes("one"));
  assert.deepEqual(v.gone, [{ conversation: "c", version: 1, id: "m1", texts: ["one", "one, edited"] }]);
});

test("one's own delete goes the same way, without a pull", async () => {
  const v = await opened();
  const before = v.wire.methods().length;
  v.writer.remove(2);
  assert.equal(v.lines()[1]?.deleted, true);
  await settle();
  assert.deepEqual(v.wire.methods().slice(before), ["messages.delete"]);
  assert.deepEqual(v.gone.map((one) => one.texts), [["two"]]);
  assert.equal(v.open().last?.deleted, true);
  assert.equal(v.open().log?.to, 3);
});

test("an older page does not bring back what a later entry deletes", async () => {
  const v = await opened();
  const log = v.open().log;
  v.wire.add("c", { kind: "delete", of: 1, from: "bob" });
  await v.pull();
  const stale = { ...v.open(), log: { after: 0, to: 3, entries: [...(log?.entries ?? []), ...(v.open().log?.entries.slice(2) ?? [])] } };
  assert.equal(rowsOf(stale, "alice", null).filter((row) => row.kind === "message" && row.message.text === "one").length, 0);
});

test("neither an edit nor a delete counts as unread, and neither is the last message", () => {
  const summary: Summary = { conversation: "c", topic: "conversation:c", version: 1, read: 1, unread: 0, updated_at_ms: 1, members: ["alice", "bob"] };
  const entries = [
    { version: 1, kind: "message" as const, id: "m1", from: "bob", text: "one", sent_at_ms: 1 },
    { version: 2, kind: "edit" as const, of: 1, id: "m2", from: "bob", text: "two", sent_at_ms: 2 },
    { version: 3, kind: "rename" as const, id: "m3", from: "bob", text: "Friday", sent_at_ms: 3 },
  ];
  const now = advanced(merged(undefined, summary), { after: 0, to: 3, entries }, "alice");
  assert.deepEqual([now.unread, now.version, now.last?.version, now.last?.text, now.title], [0, 3, 1, "two", "Friday"]);
});

test("a list that names the first members only does not make the others forgotten", () => {
  const whole: Summary = { conversation: "c", topic: "conversation:c", version: 1, read: 1, unread: 0, updated_at_ms: 1, members: ["a", "b", "c"], member_count: 3 };
  const known = merged(undefined, whole);
  assert.equal(merged(known, { ...whole, members: ["a"] }).members.length, 3);
  assert.equal(merged(known, { ...whole, members: ["a"], member_count: 4 }).members.length, 1);
  const named = merged(undefined, { ...whole, members: ["a", "b", "c", "d", "e", "f"], member_count: 30 });
  assert.equal(nameOf(named, "a"), "b, c, d, e and 25 more");
  assert.ok(isGroup(merged(undefined, { ...whole, members: ["a", "b"], owner: "b" }), "a"), "a group of two is no pair");
});

test("members who change are read again, and the last page joins the first", async () => {
  const v = await opened();
  v.wire.extra = { member_count: 3, owner: "alice", members: ["alice", "bob", "carol"] };
  await v.organizer.addMembers("c", ["carol"]);
  assert.deepEqual(v.wire.log.at(-2)?.params, { conversation: "c", users: ["carol"] });
  assert.deepEqual(v.open().members, ["alice", "bob", "carol"]);
  await v.organizer.removeMember("c", "bob");
  assert.equal(v.wire.methods().at(-2), "members.remove");
  v.wire.extra = { member_count: 4, members: ["carol", "dan"] };
  await v.reader.loadMoreMembers("c");
  assert.deepEqual(v.open().members, ["alice", "bob", "carol", "dan"]);
});

test("whoever leaves, or is removed, sees the conversation no more", async () => {
  const left = await opened();
  await left.organizer.leave("c");
  assert.equal(left.book.conversations.has("c"), false);
  const removed = await opened();
  removed.wire.conversations.delete("c");
  removed.wire.refuse = new CallError({ code: "not_found", message: "" });
  await removed.reader.pull([{ topic: "conversation:c", after: 2, version: 3 }]);
  assert.equal(removed.book.open, null);
  const away = await opened();
  away.reader.gone(["conversation:c"]);
  assert.equal(away.book.open, null);
});

test("what is muted counts in no total, and label and title come back from the server", async () => {
  const v = await opened({ unread: 3 });
  assert.equal(unreadTotal(v.book.conversations.values()), 3);
  await v.organizer.mute("c", true);
  assert.equal(unreadTotal(v.book.conversations.values()), 0);
  await v.organizer.label("c", "work");
  await v.organizer.rename("c", "Friday");
  assert.equal(v.open().title, "Friday");
});

test("rights: one's own, everything for the owner, and closed means the owner's", async () => {
  const v = await opened({ owner: "bob" });
  const { features } = v.book;
  const [theirs, mine] = v.lines();
  assert.ok(theirs !== undefined && mine !== undefined);
  assert.deepEqual([mayChange(theirs, v.open(), "alice", features), mayChange(mine, v.open(), "alice", features)], [false, true]);
  assert.equal(mayChange(theirs, { ...v.open(), owner: "alice" }, "alice", features), true);
  assert.equal(mayChange({ ...mine, deleted: true }, v.open(), "alice", features), false);
  assert.deepEqual([mayAdd(v.open(), "alice", features), mayAdd({ ...v.open(), closed: true }, "alice", features)], [true, false]);
  assert.equal(mayAdd({ ...v.open(), closed: true }, "bob", features), true);
  assert.deepEqual([mayRemove(v.open(), "alice", "bob", features), mayRemove(v.open(), "bob", "alice", features)], [true, false]);
  const pair = { ...v.open(), owner: null, title: null };
  assert.deepEqual([mayAdd(pair, "alice", features), mayLeave(pair, "alice", features)], [false, false]);
});

test("a server of yesterday is offered nothing that it lacks, and is not asked either", async () => {
  const v = await opened({ member_count: undefined as never, owner: null });
  v.book.features.welcomed({ ...LIMITS, subscriptions: 0 });
  const before = v.wire.log.length;
  v.reader.people.follow();
  await v.reader.people.readMine();
  v.writer.typing(0);
  assert.deepEqual(v.wire.followed, []);
  assert.deepEqual([v.wire.log.length, v.wire.signals.length], [before, 0]);
  for (const feature of ["groups", "edits", "presence", "status", "typing"] as const) assert.equal(v.book.features.offers(feature), false, feature);
});

test("what the server then refuses is not offered again, until there is another session", async () => {
  const v = await opened();
  v.wire.refuse = new CallError({ code: "unknown_method", message: "no such method" });
  await assert.rejects(v.organizer.rename("c", "x"), CallError);
  assert.equal(v.book.features.offers("groups"), false);
  assert.equal(v.book.features.offers("edits"), true);
  v.writer.edit(2, "x");
  await settle();
  assert.equal(v.book.features.offers("edits"), false);
  v.book.features.learnFrom({ type: "error", code: "rate_limited", message: "" });
  assert.equal(v.book.features.offers("typing"), true);
  v.book.features.learnFrom({ type: "error", code: "unsupported", message: "" });
  assert.equal(v.book.features.offers("typing"), false);
  v.book.features.welcomed(LIMITS);
  assert.equal(v.book.features.offers("groups"), true);
});

test("whether a server knows who is there, its answer to the first question shows", async () => {
  const v = await opened();
  const book = new Book(() => {});
  book.me = "alice";
  book.features.welcomed(LIMITS);
  const reader = new Reader(book, v.wire, { attentive: () => true, arrived: () => {} });
  assert.equal(book.features.offers("presence"), false);
  assert.equal(book.features.offers("typing"), true, "which takes no knowledge of who is there");
  v.wire.refuse = new CallError({ code: "unsupported", message: "not in this release" });
  await reader.people.readMine();
  assert.equal(book.features.offers("presence"), false);
  book.features.welcomed(LIMITS);
  v.wire.refuse = null;
  v.wire.statuses.set("alice", { state: "away", text: "brb" });
  await reader.people.readMine();
  assert.deepEqual(book.mine, { state: "away", text: "brb" });
  for (const feature of ["presence", "status", "typing"] as const) assert.equal(book.features.offers(feature), true, feature);
  for (const state of ["online", "invisible", "dancing"]) {
    v.wire.statuses.set("alice", { state });
    await reader.people.readMine();
    assert.deepEqual(book.mine, { state: state === "dancing" ? "auto" : state, text: "" });
  }
});

test("a new session asks again for everybody who is followed", async () => {
  const v = await opened();
  v.reader.people.follow();
  v.wire.statuses.set("bob", { state: "online" });
  await v.reader.people.live();
  assert.equal(v.book.people.get("bob")?.presence, "online");
  v.wire.statuses.clear();
  await v.reader.people.live();
  assert.equal(v.book.people.has("bob"), false);
});

test("who is shown is followed, and a hint of a person is answered with one question for all", async () => {
  const v = await opened();
  v.reader.people.follow();
  assert.deepEqual(v.wire.followed, ["presence:bob"]);
  assert.deepEqual(v.wire.log.at(-1), { method: "status.get", params: { users: ["bob"] } }, "who never came has no version");
  v.reader.people.follow();
  assert.equal(v.wire.log.filter(({ params }) => String(params.users) === "bob").length, 1);
  v.wire.statuses.set("bob", { state: "busy", text: "in a meeting", last_seen_ms: 5 });
  await v.reader.pull([
    { topic: "presence:bob", after: 0, version: 4 },
    { topic: "presence:carol", after: 0, version: 2 },
  ]);
  assert.deepEqual(v.wire.log.at(-1), { method: "status.get", params: { users: ["bob", "carol"] } });
  assert.deepEqual(v.book.people.get("bob"), { presence: "busy", text: "in a meeting", lastSeenMs: 5 });
  assert.equal(v.book.people.has("carol"), false);
  assert.deepEqual([v.wire.held.get("presence:bob"), v.wire.held.get("presence:carol")], [4, 2]);
});

test("typing is told once in a while, and not in a large conversation", async () => {
  const v = await opened();
  for (const now of [0, 500, 2_000, 2_200, 3_000]) v.writer.typing(now);
  assert.equal(v.wire.signals.length, 2);
  assert.deepEqual(v.wire.signals[0], { topic: "conversation:c", data: { typing: true } });
  v.book.put({ ...v.open(), online: 80 });
  v.writer.typing(60_000);
  assert.equal(v.wire.signals.length, 2);
});

test("a message ends the typing of its sender", async () => {
  const v = await opened();
  v.book.typing.heard("conversation:c", "bob", 0);
  assert.deepEqual(v.book.typing.who("conversation:c", 1), ["bob"]);
  v.wire.append("c", "bob", "there");
  await v.pull();
  assert.deepEqual(v.book.typing.who("conversation:c", 1), []);
  await v.reader.show(null);
  v.book.typing.heard("conversation:c", "bob", 0);
  v.wire.append("c", "bob", "and here");
  await v.pull();
  assert.deepEqual(v.book.typing.who("conversation:c", 1), [], "nor where only its line in the list is read");
});
