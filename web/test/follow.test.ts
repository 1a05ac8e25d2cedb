/** What is followed by `subscribe`, and what is said by `signal`. */
import assert from "node:assert/strict";
import { test } from "node:test";
import type { Due } from "../src/client/pulls.ts";
import type { Frame } from "./fakes.ts";
import { NOTHING_NEW, harness, settle } from "./fakes.ts";
import type { FakeSocket } from "./fakes.ts";

const LIMITS = { limits: { frame_bytes: 131_072, subscriptions: 1_000, calls_per_second: 20 } };

function asked(socket: FakeSocket, type = "subscribe"): unknown[] {
  return socket.frames.filter((frame) => frame.type === type).map((frame) => (frame as Frame & { topics: unknown }).topics);
}

async function granted(socket: FakeSocket, topics: object, type = "subscribe"): Promise<void> {
  const id = socket.frames.findLast((frame) => frame.type === type)?.id;
  socket.deliver({ type: "reply", id, result: { topics } });
  await settle();
}

/** A client that pulls whatever is rung, on a session that follows. */
async function following(limits: object = LIMITS) {
  const pulled: Due[] = [];
  const h = harness({
    pull: async (due) => {
      pulled.push(...due);
      for (const one of due) h.client.have(one.topic, one.version);
    },
  });
  h.client.start();
  await settle();
  await h.newest().welcome(limits);
  await h.newest().reply("topics.changes", NOTHING_NEW);
  return { ...h, pulled };
}

test("a subscription is answered with versions, and what is behind is pulled", async () => {
  const h = await following();
  h.client.follow(["presence:bob", "presence:carol"]);
  await settle();
  assert.deepEqual(asked(h.newest()), [{ "presence:bob": 0, "presence:carol": 0 }]);
  await granted(h.newest(), { "presence:bob": 7, "presence:carol": 0 });
  assert.deepEqual(h.pulled, [{ topic: "presence:bob", after: 0, version: 7 }]);
  h.newest().deliver({ type: "hint", topics: { "presence:carol": 9 } });
  await h.clock.advance(0);
  assert.deepEqual(h.pulled.at(-1), { topic: "presence:carol", after: 0, version: 9 });
});

test("only the difference is said, and what is no longer wanted is let go first", async () => {
  const h = await following();
  h.client.follow(["presence:bob"]);
  await settle();
  await granted(h.newest(), { "presence:bob": 1 });
  h.client.follow(["presence:bob"]);
  await settle();
  assert.equal(asked(h.newest()).length, 1);
  h.client.follow(["presence:carol"]);
  await settle();
  assert.deepEqual(asked(h.newest(), "unsubscribe"), [["presence:bob"]]);
  assert.equal(asked(h.newest()).length, 1, "one at a time");
  await granted(h.newest(), {}, "unsubscribe");
  assert.deepEqual(asked(h.newest())[1], { "presence:carol": 0 });
});

test("on a new socket everything is followed again, with the versions held by then", async () => {
  const h = await following();
  h.client.follow(["presence:bob"]);
  await settle();
  await granted(h.newest(), { "presence:bob": 7 });
  await h.newest().end(1006);
  await h.clock.advance(500);
  await h.newest().welcome(LIMITS);
  assert.deepEqual(asked(h.newest()), [{ "presence:bob": 7 }]);
});

test("an answer that the lost socket still owed is not taken for the new one's", async () => {
  const h = await following();
  h.client.follow(["presence:bob"]);
  await settle();
  await h.newest().end(1006);
  await h.clock.advance(500);
  await h.newest().welcome(LIMITS);
  assert.deepEqual(asked(h.newest()), [{ "presence:bob": 0 }]);
});

test("after `more` and `resync` the subscription is repeated, at the pace of the hint", async () => {
  const h = await following();
  h.client.follow(["presence:bob"]);
  await settle();
  await granted(h.newest(), { "presence:bob": 7 });
  h.newest().deliver({ type: "hint", topics: {}, resync: true, pull_after_ms: 400 });
  await h.clock.advance(399);
  assert.equal(asked(h.newest()).length, 1);
  await h.clock.advance(1);
  assert.deepEqual(asked(h.newest())[1], { "presence:bob": 7 });
  await granted(h.newest(), { "presence:bob": 8 });
  h.newest().deliver({ type: "hint", topics: {}, more: true });
  await h.clock.advance(0);
  assert.equal(asked(h.newest()).length, 3);
});

test("a goaway's new socket follows before the old one is left", async () => {
  const h = await following();
  h.client.follow(["presence:bob"]);
  await settle();
  await granted(h.newest(), { "presence:bob": 7 });
  h.newest().deliver({ type: "goaway", reason: "restart", reconnect_after_ms: 0, deadline_ms: 30_000 });
  await h.clock.advance(0);
  await h.newest().welcome(LIMITS);
  assert.equal(h.sockets.length, 2);
  assert.deepEqual(asked(h.newest()), [{ "presence:bob": 7 }]);
});

test("what the old socket answers after the new one has its welcome does not count for the new one", async () => {
  const h = await following();
  const old = h.newest();
  h.client.follow(["presence:bob"]);
  await settle();
  old.deliver({ type: "goaway", reason: "restart", reconnect_after_ms: 0, deadline_ms: 30_000 });
  await h.clock.advance(0);
  await h.newest().welcome(LIMITS);
  assert.deepEqual(asked(h.newest()), []);
  await granted(old, { "presence:bob": 7 });
  assert.deepEqual(asked(h.newest()), [{ "presence:bob": 0 }]);
});

test("a server that follows nothing is asked for nothing", async () => {
  for (const limits of [{}, { limits: { ...LIMITS.limits, subscriptions: 0 } }]) {
    const h = await following(limits);
    h.client.follow(["presence:bob"]);
    await settle();
    assert.deepEqual(asked(h.newest()), []);
  }
});

test("no more is followed than the session may", async () => {
  const h = await following({ limits: { ...LIMITS.limits, subscriptions: 2 } });
  h.client.follow(["a:1", "a:2", "a:3"]);
  await settle();
  assert.deepEqual(asked(h.newest()), [{ "a:1": 0, "a:2": 0 }]);
});

test("a refusal that is final ends it for this session, one that is not is tried again", async () => {
  const h = await following();
  h.client.follow(["presence:bob"]);
  await settle();
  const refuse = async (error: object) => {
    const id = h.newest().frames.findLast((frame) => frame.type === "subscribe")?.id;
    h.newest().deliver({ type: "reply", id, error });
    await settle();
  };
  await refuse({ code: "unavailable", message: "", retry_after_ms: 1_000 });
  await h.clock.advance(999);
  assert.equal(asked(h.newest()).length, 1);
  await h.clock.advance(600);
  assert.equal(asked(h.newest()).length, 2);
  await refuse({ code: "unsupported", message: "" });
  await h.clock.advance(10_000);
  h.client.follow(["presence:bob", "presence:carol"]);
  await settle();
  assert.equal(asked(h.newest()).length, 2);
});

test("that none of some topics may be followed is an answer, and others may be asked for", async () => {
  const h = await following();
  h.client.follow(["presence:stranger"]);
  await settle();
  const id = h.newest().frames.findLast((frame) => frame.type === "subscribe")?.id;
  h.newest().deliver({ type: "reply", id, error: { code: "not_found", message: "" } });
  await settle();
  h.client.follow(["presence:stranger", "presence:bob"]);
  await settle();
  assert.deepEqual(asked(h.newest()), [{ "presence:stranger": 0 }, { "presence:bob": 0 }]);
});

test("a signal goes to the live socket or nowhere, and one that comes is handed on", async () => {
  const heard: unknown[] = [];
  const refused: string[] = [];
  const h = harness({ onSignal: (signal) => heard.push(signal.data), onError: (error) => refused.push(error.code) });
  h.client.signal("conversation:c", { typing: true });
  const socket = await h.live();
  h.client.signal("conversation:c", { typing: true });
  assert.equal(socket.frames.filter((frame) => frame.type === "signal").length, 1);
  socket.deliver({ type: "signal", topic: "conversation:c", from: "bob", data: { typing: true } });
  socket.deliver({ type: "error", code: "unsupported", message: "" });
  assert.deepEqual(heard, [{ typing: true }]);
  assert.deepEqual(refused, ["unsupported"]);
  assert.equal(h.state()?.name, "live");
});

test("what is no longer the user's is said, and begins anew should it come back", async () => {
  const gone: string[] = [];
  const pulled: Due[] = [];
  const h = harness({ onGone: (topics) => gone.push(...topics), pull: async (due) => void pulled.push(...due) });
  const socket = await h.live();
  h.client.have("conversation:c", 9);
  socket.deliver({ type: "hint", topics: {}, resync: true });
  await h.clock.advance(0);
  await socket.reply("topics.changes", { topics: {}, gone: ["conversation:c"], cursor: "c2", more: false });
  assert.deepEqual(gone, ["conversation:c"]);
  socket.deliver({ type: "hint", topics: { "conversation:c": 9 } });
  await h.clock.advance(0);
  assert.deepEqual(pulled, [{ topic: "conversation:c", after: 0, version: 9 }]);
});
