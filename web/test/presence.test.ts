/** The small pure rules of who is there, who writes, and what the panel says and forgets. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { merged } from "../src/chat/conversation.ts";
import { followed, personOf, presenceWords, whoIsThere } from "../src/chat/presence.ts";
import type { Person } from "../src/chat/presence.ts";
import { SHOWN_MS, TOLD_EVERY_MS, Typing, Typist, isTyping, typingWords } from "../src/chat/typing.ts";
import { webLinks } from "../src/chat/words.ts";
import type { ServerFrame } from "../src/client/frames.ts";
import type { Summary } from "../src/client/methods.ts";
import { describe } from "../src/wire/describe.ts";
import { without } from "../src/wire/forget.ts";
import { lessonOf } from "../src/wire/lessons.ts";
import { Trail } from "../src/wire/trail.ts";

function conversation(id: string, members: string[], extra: Partial<Summary> = {}) {
  return merged(undefined, { conversation: id, topic: `conversation:${id}`, version: 0, read: 0, unread: 0, updated_at_ms: 0, members, ...extra });
}

test("who is unknown or does not want to be seen is offline", () => {
  assert.equal(personOf({ state: "away" }).presence, "away");
  for (const state of ["offline", "invisible", "auto", "dancing"]) assert.equal(personOf({ state }).presence, "offline");
});

test("presence in words", () => {
  const day = 86_400_000;
  const offline = (lastSeenMs: number | null) => presenceWords({ presence: "offline", text: "", lastSeenMs }, 2 * day);
  assert.equal(presenceWords(undefined, 0), "");
  assert.equal(presenceWords({ presence: "busy", text: "in a meeting", lastSeenMs: 0 }, 0), "Busy, in a meeting");
  assert.deepEqual([offline(null), offline(2 * day), offline(2 * day - 61_000), offline(day), offline(2 * day - 7_300_000)], ["Offline", "Last seen just now", "Last seen 1 minute ago", "Last seen 1 day ago", "Last seen 2 hours ago"]);
});

test("followed are the other one of each pair and the members of what is open, not of a large one", () => {
  const pair = conversation("p", ["me", "bob"]);
  const group = conversation("g", ["me", "cleo", "dan"], { title: "Group" });
  const large = conversation("l", ["me", "eve"], { title: "All", member_count: 900 });
  assert.deepEqual(followed([pair, group, large], null, "me"), ["bob"]);
  assert.deepEqual(followed([pair, group, large], group, "me").sort(), ["bob", "cleo", "dan"]);
  assert.deepEqual(followed([pair, group, large], large, "me"), ["bob"]);
});

test("a group says who is there, a large one how many", () => {
  const person: Person = { presence: "busy", text: "", lastSeenMs: null };
  const people = new Map<string, Person>([["bob", person], ["cleo", { ...person, presence: "offline" }]]);
  const group = conversation("g", ["bob", "cleo", "me"], { title: "Group" });
  assert.equal(whoIsThere(group, people, "me"), "2 online · bob, cleo, me");
  assert.equal(whoIsThere(group, null, "me"), "bob, cleo, me");
  const large = conversation("l", ["bob", "me"], { title: "All", member_count: 4_210, online: 1_187 });
  assert.equal(whoIsThere(large, people, "me"), "1,187 online · 4,210 members");
  assert.equal(whoIsThere(conversation("m", ["bob", "me"], { title: "Many", member_count: 90 }), people, "me"), "90 members");
});

test("typing is shown for some seconds after the last signal", () => {
  const typing = new Typing();
  typing.heard("t", "bob", 0);
  typing.heard("t", "cleo", 1_000);
  assert.deepEqual(typing.who("t", SHOWN_MS - 1), ["bob", "cleo"]);
  assert.deepEqual(typing.who("t", SHOWN_MS), ["cleo"]);
  assert.equal(typing.next(SHOWN_MS), SHOWN_MS + 1_000);
  assert.equal(typing.next(SHOWN_MS + 1_000), null);
  assert.ok(TOLD_EVERY_MS * 2 < SHOWN_MS, "one lost signal is not seen");
});

test("one's own signals: one in two seconds for each topic", () => {
  const typist = new Typist();
  assert.deepEqual([typist.due("a", 0), typist.due("a", 1_999), typist.due("b", 1_999), typist.due("a", TOLD_EVERY_MS)], [true, false, true, true]);
});

test("typing in words, and what is no such signal", () => {
  assert.deepEqual([[], ["a"], ["a", "b"], ["a", "b", "c"]].map(typingWords), ["", "a is typing", "a and b are typing", "a, b and others are typing"]);
  assert.deepEqual([isTyping({ typing: true }), isTyping({ typing: false }), isTyping("x"), isTyping(null), isTyping({ cursor: 1 })], [true, false, null, null, null]);
});

test("only web addresses become links", () => {
  assert.deepEqual(webLinks(["https://a.org/x", "javascript:alert(1)", "data:text/html,x", "nonsense", "http://b.org", "HTTPS://c.org"]), ["https://a.org/x", "http://b.org", "HTTPS://c.org"]);
});

test("a deleted message is taken out of the frames that carried it, and of those alone", () => {
  const gone = { conversation: "c", version: 3, id: "m3", texts: ["secret", "secret, edited"] };
  const entry = { version: 3, kind: "message", id: "m3", text: "secret", media: ["https://a.org"] };
  const page = { type: "reply", id: 7, result: { messages: [entry, { version: 4, id: "m4", text: "fine" }], more: false } };
  const edit = { type: "call", id: 8, method: "messages.edit", params: { conversation: "c", of: 3, text: "secret, edited" } };
  const sent = { type: "call", id: 2, method: "messages.send", params: { conversation: "c", text: "secret" } };
  for (const frame of [page, edit, sent]) assert.ok(!JSON.stringify(without(frame, gone)).includes("secret"));
  assert.equal(without(page, gone).result.messages[1]?.text, "fine");
  assert.ok(Array.isArray(without(page, gone).result.messages));
  const elsewhere = { type: "call", id: 3, method: "messages.send", params: { conversation: "d", text: "secret" } };
  assert.equal(without(elsewhere, gone), elsewhere);
});

test("the frames of today are told in a few words, each with its reason", () => {
  const said = (frame: Parameters<typeof describe>[1], direction: "sent" | "received" = "sent") => describe(direction, frame, undefined).phrase;
  const call = (method: string, params: object) => ({ type: "call", id: 1, method, params }) as const;
  assert.equal(said({ type: "subscribe", id: 1, topics: { "presence:bob": 0 } }), "tell me of presence:bob, too");
  assert.equal(said({ type: "signal", topic: "t", from: "bob", data: { typing: true } }, "received"), "bob: typing");
  assert.equal(said(call("members.add", { users: ["bob", "cleo"] })), "let bob, cleo in");
  assert.equal(said(call("messages.delete", { of: 7 })), "append: 7 is gone");
  for (const method of ["messages.edit", "members.remove", "status.get", "conversations.update"]) {
    assert.ok(lessonOf(call(method, {}), undefined) !== "", method);
  }
  const paced = { type: "hint", topics: {}, pull_after_ms: 5 } as const;
  assert.ok(lessonOf(paced, undefined).length > lessonOf({ type: "hint", topics: {} }, undefined).length);
});

test("what a server does not offer is no fault on the panel", () => {
  const refused = (code: string): ServerFrame => ({ type: "error", code, message: "m" });
  assert.deepEqual(["unsupported", "unknown_method", "invalid"].map((code) => describe("received", refused(code), undefined).kind), ["beat", "beat", "error"]);
});

test("asking how somebody is follows from the hint of that person", () => {
  const trail = new Trail();
  trail.place({ type: "hint", topics: { "presence:bob": 3 } }, 0);
  const ask = (id: number, users: string[]) => trail.place({ type: "call", id, method: "status.get", params: { users } }, id).from;
  assert.equal(ask(1, ["cleo"]), null);
  assert.equal(ask(2, ["bob"]), 0);
});
