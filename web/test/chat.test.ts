import assert from "node:assert/strict";
import { test } from "node:test";
import { Book } from "../src/chat/book.ts";
import { Reader } from "../src/chat/reader.ts";
import { Writer } from "../src/chat/writer.ts";
import { CallError } from "../src/client/errors.ts";
import { settle } from "./fakes.ts";
import { FakeWire } from "./server.ts";

function visit(attentive = true) {
  const wire = new FakeWire("alice");
  const book = new Book(() => {});
  book.me = "alice";
  const arrived: string[] = [];
  const refused: string[] = [];
  const reader = new Reader(book, wire, {
    attentive: () => attentive,
    arrived: (_, entries) => arrived.push(...entries.map((entry) => entry.text ?? "")),
  });
  const writer = new Writer(book, wire, (why) => refused.push(why));
  const due = (topic: string, version: number) => ({ topic, after: wire.held.get(topic) ?? 0, version });
  const texts = () => book.open?.log?.entries.map((entry) => entry.text) ?? [];
  return { wire, book, reader, writer, arrived, refused, due, texts };
}

test("a first visit reads the list once", async () => {
  const v = visit();
  v.wire.append("c", "bob", "hello");
  v.reader.live();
  assert.deepEqual(v.wire.rung, [["window:list", 1]]);
  await v.reader.pull([v.due("window:list", 1), v.due("conversation:c", 1)]);
  assert.deepEqual(v.wire.methods(), ["conversations.list"]);
  assert.equal(v.book.conversations.get("c")?.unread, 1);
  assert.equal(v.wire.held.get("conversation:c"), 1);
  assert.equal(v.wire.held.get("window:list"), 1);
});

test("a hint of a conversation that is not open refreshes its line, many are read with one list", async () => {
  const v = visit();
  for (const id of ["a", "b", "c"]) v.wire.append(id, "bob", "x");
  await v.reader.pull([v.due("conversation:a", 1)]);
  assert.deepEqual(v.wire.methods(), ["conversations.get"]);
  await v.reader.pull([v.due("conversation:a", 1), v.due("conversation:b", 1), v.due("conversation:c", 1)]);
  assert.deepEqual(v.wire.methods(), ["conversations.get", "conversations.list"]);
});

test("a conversation that one no longer sees leaves the list", async () => {
  const v = visit();
  v.wire.append("a", "bob", "x");
  await v.reader.pull([v.due("conversation:a", 1)]);
  v.wire.conversations.delete("a");
  await v.reader.pull([v.due("conversation:a", 2)]);
  assert.equal(v.book.conversations.has("a"), false);
  assert.equal(v.wire.held.get("conversation:a"), 2);
});

test("the open conversation pulls what came after what it has, in pages and in order", async () => {
  const v = visit();
  for (let i = 1; i <= 60; i++) v.wire.append("c", "bob", `${i}`);
  await v.reader.pull([v.due("window:list", 1)]);
  await v.reader.show("c");
  assert.equal(v.texts()[0], "11");
  for (let i = 61; i <= 700; i++) v.wire.append("c", "bob", `${i}`);
  await v.reader.pull([v.due("conversation:c", 700)]);
  assert.equal(v.texts().length, 690);
  assert.deepEqual(v.texts().map(Number), Array.from({ length: 690 }, (_, i) => i + 11));
  assert.equal(v.wire.held.get("conversation:c"), 700);
  assert.equal(v.arrived.length, 640);
});

test("older pages join without a gap until the beginning", async () => {
  const v = visit();
  for (let i = 1; i <= 120; i++) v.wire.append("c", "bob", `${i}`);
  await v.reader.pull([v.due("window:list", 1)]);
  await v.reader.show("c");
  await v.reader.loadOlder();
  await v.reader.loadOlder();
  assert.deepEqual(v.texts().map(Number), Array.from({ length: 120 }, (_, i) => i + 1));
  const calls = v.wire.log.length;
  await v.reader.loadOlder();
  assert.equal(v.wire.log.length, calls);
});

test("a window that is far behind reads the newest page again", async () => {
  const v = visit();
  v.wire.append("c", "bob", "1");
  await v.reader.pull([v.due("window:list", 1)]);
  await v.reader.show("c");
  for (let i = 2; i <= 3_000; i++) v.wire.append("c", "bob", `${i}`);
  await v.reader.pull([v.due("window:list", 2), v.due("conversation:c", 3_000)]);
  assert.equal(v.texts().at(-1), "3000");
  assert.ok(v.texts().length < 1_000);
});

test("an acknowledged message is the next entry: nothing is pulled for it", async () => {
  const v = visit();
  v.wire.append("c", "bob", "1");
  await v.reader.pull([v.due("window:list", 1)]);
  await v.reader.show("c");
  v.writer.send("mine");
  assert.equal(v.book.open?.pending.length, 1);
  await settle();
  assert.deepEqual(v.texts(), ["1", "mine"]);
  assert.equal(v.book.open?.pending.length, 0);
  assert.equal(v.wire.held.get("conversation:c"), 2);
});

test("an acknowledged message with others before it is pulled with them", async () => {
  const v = visit();
  v.wire.append("c", "bob", "1");
  await v.reader.pull([v.due("window:list", 1)]);
  await v.reader.show("c");
  v.wire.append("c", "bob", "2");
  v.writer.send("mine");
  await settle();
  assert.deepEqual(v.texts(), ["1"]);
  assert.deepEqual(v.wire.rung.at(-1), ["conversation:c", 3]);
  await v.reader.pull([v.due("conversation:c", 3)]);
  assert.deepEqual(v.texts(), ["1", "2", "mine"]);
});

test("a refused message stays with the reason, and can be sent again or discarded", async () => {
  const v = visit();
  v.wire.append("c", "bob", "1");
  await v.reader.pull([v.due("window:list", 1)]);
  await v.reader.show("c");
  v.wire.refuse = new CallError({ code: "invalid", message: "too odd" });
  v.writer.send("mine");
  await settle();
  const [pending] = v.book.open?.pending ?? [];
  assert.equal(pending?.refused, "too odd");
  v.wire.refuse = null;
  v.writer.retry(pending?.key ?? "");
  await settle();
  assert.deepEqual(v.texts(), ["1", "mine"]);
  const keys = v.wire.log.filter((call) => call.method === "messages.send").map((call) => call.params.key);
  assert.equal(new Set(keys).size, 2);
});

test("reading the end marks it read once", async () => {
  const v = visit();
  v.wire.append("c", "bob", "1");
  await v.reader.pull([v.due("window:list", 1)]);
  await v.reader.show("c");
  v.writer.seen();
  v.writer.seen();
  const marks = v.wire.log.filter((call) => call.method === "conversations.mark_read");
  assert.deepEqual(marks.map((call) => call.params), [{ conversation: "c", version: 1 }]);
  assert.equal(v.book.open?.unread, 0);
});

test("what arrives while nobody looks is new: a line is drawn and it counts as unread", async () => {
  const v = visit(false);
  v.wire.append("c", "alice", "1");
  await v.reader.pull([v.due("window:list", 1)]);
  await v.reader.show("c");
  v.wire.append("c", "bob", "2");
  await v.reader.pull([v.due("conversation:c", 2)]);
  assert.equal(v.book.dividerAfter, 1);
  assert.equal(v.book.open?.unread, 1);
});

test("after a reset everything is read again, and what was not acknowledged is kept", async () => {
  const v = visit();
  for (let i = 1; i <= 9; i++) v.wire.append("c", "bob", `old ${i}`);
  await v.reader.pull([v.due("window:list", 1)]);
  await v.reader.show("c");
  v.book.change("c", (now) => ({ ...now, pending: [{ key: "k", text: "wait", writtenAtMs: 0, refused: null }] }));
  v.wire.conversations.clear();
  v.wire.append("c", "bob", "new 1");
  v.reader.reset();
  await v.reader.pull([v.due("window:list", 1)]);
  assert.deepEqual(v.texts(), ["new 1"]);
  assert.equal(v.book.open?.version, 1);
  assert.equal(v.book.open?.pending.length, 1);
});

test("kinds of topics that this page shows nothing of are let be", async () => {
  const v = visit();
  await v.reader.pull([v.due("feed:bob", 7)]);
  assert.deepEqual(v.wire.methods(), []);
  assert.equal(v.wire.held.get("feed:bob"), 7);
});
