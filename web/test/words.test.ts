import assert from "node:assert/strict";
import { test } from "node:test";
import { merged, nameOf } from "../src/chat/conversation.ts";
import type { Conversation } from "../src/chat/conversation.ts";
import { append, newestPage, prepend, shown } from "../src/chat/log.ts";
import { rowsOf } from "../src/chat/rows.ts";
import { hueOf, initialOf, lengthOf, namesIn, pieces } from "../src/chat/words.ts";
import type { ServerFrame } from "../src/client/frames.ts";
import type { Entry, Summary } from "../src/client/methods.ts";
import { NoToken } from "../src/client/client.ts";
import { DemoOff, demoTokens, pastedToken } from "../src/token.ts";
import { describe, shortTopic } from "../src/wire/describe.ts";
import { Trail } from "../src/wire/trail.ts";

const SUMMARY: Summary = {
  conversation: "c",
  topic: "conversation:c",
  version: 5,
  read: 2,
  unread: 3,
  members: ["alice", "bob"],
  updated_at_ms: 50,
};

function entry(version: number, from: string, extra: Partial<Entry> = {}): Entry {
  return { version, kind: "message", id: `m${version}`, from, text: `t${version}`, sent_at_ms: version * 1_000, ...extra };
}

function opened(entries: Entry[]): Conversation {
  return { ...merged(undefined, SUMMARY), log: { after: 0, to: entries.length, entries } };
}

test("a late answer takes nothing back", () => {
  const known = { ...merged(undefined, SUMMARY), version: 9, read: 9, unread: 0 };
  const now = merged(known, SUMMARY);
  assert.deepEqual([now.version, now.read, now.unread], [9, 9, 0]);
});

test("a direct conversation is called after the other one", () => {
  assert.equal(nameOf(merged(undefined, SUMMARY), "alice"), "bob");
  assert.equal(nameOf(merged(undefined, { ...SUMMARY, title: "Dinner" }), "alice"), "Dinner");
  assert.equal(nameOf(merged(undefined, { ...SUMMARY, members: ["alice"] }), "alice"), "Only you");
});

test("pages join without a gap and without a repeated entry", () => {
  const newest = newestPage(4, [entry(3, "a"), entry(4, "a")], true);
  assert.deepEqual([newest.after, newest.to], [2, 4]);
  const longer = append(newest, [entry(4, "a"), entry(5, "a")]);
  const whole = prepend(longer, [entry(1, "a"), entry(2, "a"), entry(3, "a")], false);
  assert.deepEqual(whole.entries.map((one) => one.version), [1, 2, 3, 4, 5]);
  assert.deepEqual([whole.after, whole.to], [0, 5]);
  assert.deepEqual(newestPage(0, [], false), { after: 0, to: 0, entries: [] });
});

test("edits replace a text, deletes take it away, and neither brings it back", () => {
  const log = [
    entry(1, "a"),
    entry(2, "a"),
    entry(3, "a", { kind: "edit", of: 1, text: "better" }),
    entry(4, "a", { kind: "delete", of: 2, text: undefined as never }),
    entry(5, "a", { kind: "edit", of: 2, text: "back" }),
  ];
  const seen = shown(log).map((one) => [one.version, one.text, one.editedBy, one.deleted]);
  assert.deepEqual(seen, [[1, "better", "a", false], [2, "", null, true]]);
});

test("rows: days, the line before what is new, and messages that stand together", () => {
  const later = 10 * 60_000;
  const rows = rowsOf(opened([entry(1, "alice"), entry(2, "bob"), entry(3, "bob"), entry(4, "bob", { sent_at_ms: later })]), "alice", 1);
  const lines = rows.map((row) => (row.kind === "message" ? `${row.key}${row.follows ? " follows" : ""}` : row.kind));
  assert.deepEqual(lines, ["day", "v1", "new", "v2", "v3 follows", "v4"]);
});

test("one's own messages are never new", () => {
  const rows = rowsOf(opened([entry(1, "bob"), entry(2, "alice")]), "alice", 1);
  assert.ok(rows.every((row) => row.kind !== "new"));
});

test("links end before the sentence does", () => {
  const found = pieces("see https://example.org/a?b=1, or (http://x.org). Bye");
  assert.deepEqual(found.filter((one) => one.href !== null).map((one) => one.href), ["https://example.org/a?b=1", "http://x.org"]);
  assert.equal(found.map((one) => one.text).join(""), "see https://example.org/a?b=1, or (http://x.org). Bye");
  assert.deepEqual(pieces("javascript:alert(1)"), [{ text: "javascript:alert(1)", href: null }]);
});

test("names are trimmed, each once, without oneself", () => {
  assert.deepEqual(namesIn(" bob,carol , bob,, alice", "alice"), ["bob", "carol"]);
});

test("a name keeps its colour and its letter", () => {
  assert.equal(hueOf("élodie", 8), hueOf("élodie", 8));
  assert.equal(initialOf(" élodie"), "É");
  assert.equal(initialOf(""), "?");
  assert.equal(lengthOf("a👋b"), 3);
});

test("frames are told in a few words", () => {
  const hint: ServerFrame = { type: "hint", topics: { "conversation:c": 7 }, pull_after_ms: 1_500 };
  assert.deepEqual(describe("received", hint, undefined), {
    kind: "hint",
    label: "hint",
    phrase: "conversation:c has reached 7; pull in 1.5 s",
  });
  const reply: ServerFrame = { type: "reply", id: 1, result: { messages: [{}], more: true } };
  const call = { method: "messages.list", params: { after: 6 } };
  assert.deepEqual(describe("received", reply, call), { kind: "pull", label: "messages.list ✓", phrase: "1 message, and more" });
  const refused: ServerFrame = { type: "reply", id: 1, error: { code: "not_found", message: "nothing here" } };
  assert.equal(describe("received", refused, call).kind, "error");
  assert.equal(shortTopic("conversation:01J9ABCDEFGHJKMNPQRSTVWXYZ"), "conversation …WXYZ");
});

test("a pull follows from its hint, an answer from its pull, and nothing else does", () => {
  const trail = new Trail();
  const call = (id: number, conversation: string) =>
    ({ type: "call", id, method: "messages.list", params: { conversation, after: 0 } }) as const;
  assert.equal(trail.place({ type: "hint", topics: { "conversation:c": 7 } }, 0).from, null);
  assert.equal(trail.place(call(1, "other"), 1).from, null);
  assert.equal(trail.place(call(2, "c"), 2).from, 0);
  assert.equal(trail.place({ type: "reply", id: 1, result: {} }, 3).from, null);
  assert.equal(trail.place({ type: "reply", id: 2, result: {} }, 4).from, 2);
  assert.equal(trail.place(call(3, "c"), 5).from, null);
});

function answering(status: number, body: unknown) {
  let asked = 0;
  const fetcher = (async () => {
    asked += 1;
    return new Response(JSON.stringify(body), { status });
  }) as typeof fetch;
  return { fetcher, count: () => asked };
}

test("a token is asked for once, and again when a fresh one is wanted or it ends", async () => {
  const lasting = answering(200, { user: "alice", token: "t", expires_at_ms: Date.now() + 900_000 });
  const tokens = demoTokens("alice", lasting.fetcher);
  await tokens(false);
  await tokens(false);
  assert.equal(lasting.count(), 1);
  await tokens(true);
  assert.equal(lasting.count(), 2);
  const short = answering(200, { user: "alice", token: "t", expires_at_ms: Date.now() + 1_000 });
  const again = demoTokens("alice", short.fetcher);
  await again(false);
  await again(false);
  assert.equal(short.count(), 2);
});

test("what the token endpoint answers decides between stop and patience", async () => {
  const error = { error: { code: "x", message: "said so" } };
  await assert.rejects(demoTokens("a", answering(404, error).fetcher)(false), DemoOff);
  await assert.rejects(demoTokens("a", answering(403, error).fetcher)(false), DemoOff);
  await assert.rejects(demoTokens("a", answering(400, error).fetcher)(false), NoToken);
  const busy = await demoTokens("a", answering(503, error).fetcher)(false).catch((failure: Error) => failure);
  assert.ok(busy instanceof Error && !(busy instanceof NoToken) && busy.message === "said so");
  await assert.rejects(pastedToken("t")(true), NoToken);
});
