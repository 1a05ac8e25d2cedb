import assert from "node:assert/strict";
import { test } from "node:test";
import { NoToken, STEADY_MS } from "../src/client/client.ts";
import type { Due } from "../src/client/pulls.ts";
import { LEAVE_TIMEOUT_MS, PONG_TIMEOUT_MS, WELCOME_TIMEOUT_MS } from "../src/client/link.ts";
import { FakeSocket, NOTHING_NEW, harness, settle } from "./fakes.ts";

test("the first seconds: hello, welcome, changes, live", async () => {
  const h = harness({ device: "d", client: "c/1" });
  h.client.start();
  await settle();
  h.newest().onopen?.();
  assert.deepEqual(h.newest().frames, [{ type: "hello", token: "token 1", device: "d", client: "c/1" }]);
  await h.newest().welcome();
  assert.deepEqual(h.newest().calls("topics.changes")[0]?.params, {});
  await h.newest().reply("topics.changes", NOTHING_NEW);
  assert.deepEqual(h.states.map((state) => state.name), ["connecting", "catching up", "live"]);
});

test("changes are read page after page, and what they name is pulled once they end", async () => {
  const pulled: Due[][] = [];
  const h = harness({ pull: async (due) => void pulled.push(due) });
  h.client.start();
  await settle();
  await h.newest().welcome();
  await h.newest().reply("topics.changes", { topics: { a: 1 }, cursor: "p1", more: true });
  assert.deepEqual(h.newest().calls("topics.changes")[1]?.params, { cursor: "p1" });
  assert.equal(pulled.length, 0);
  await h.newest().reply("topics.changes", { topics: { b: 2 }, cursor: "p2", more: false });
  assert.deepEqual(pulled, [[{ topic: "a", after: 0, version: 1 }, { topic: "b", after: 0, version: 2 }]]);
});

test("a hint is pulled after the version held, at the time it names", async () => {
  const pulled: Due[] = [];
  const h = harness({ pull: async (due) => void pulled.push(...due) });
  const socket = await h.live();
  h.client.have("t", 4);
  socket.deliver({ type: "hint", topics: { t: 6 }, pull_after_ms: 800 });
  socket.deliver({ type: "hint", topics: { t: 7 }, pull_after_ms: 5_000 });
  await h.clock.advance(799);
  assert.deepEqual(pulled, []);
  await h.clock.advance(1);
  assert.deepEqual(pulled, [{ topic: "t", after: 4, version: 7 }]);
});

test("a failed pull is tried again", async () => {
  let tries = 0;
  const h = harness({
    pull: async (due) => {
      tries += 1;
      if (tries === 1) throw new Error("no luck");
      for (const one of due) h.client.have(one.topic, one.version);
    },
  });
  const socket = await h.live();
  socket.deliver({ type: "hint", topics: { t: 1 } });
  await settle();
  assert.equal(tries, 1);
  await h.clock.advance(5_000);
  assert.equal(tries, 2);
  await h.clock.advance(60_000);
  assert.equal(tries, 2);
});

test("after `more` and `resync` the cursor is asked, paced like a pull", async () => {
  const h = harness();
  const socket = await h.live();
  socket.deliver({ type: "hint", topics: {}, resync: true, pull_after_ms: 300 });
  await h.clock.advance(299);
  assert.equal(socket.calls("topics.changes").length, 1);
  await h.clock.advance(1);
  assert.deepEqual(socket.calls("topics.changes")[1]?.params, { cursor: "c1" });
  await socket.reply("topics.changes", NOTHING_NEW);
  socket.deliver({ type: "hint", topics: { a: 1 }, more: true });
  await h.clock.advance(0);
  assert.equal(socket.calls("topics.changes").length, 3);
});

test("`reset` forgets every held version, so that a smaller one is pulled", async () => {
  const pulled: Due[] = [];
  let resets = 0;
  const h = harness({ pull: async (due) => void pulled.push(...due), onReset: () => (resets += 1) });
  const socket = await h.live();
  h.client.have("t", 90);
  socket.deliver({ type: "hint", topics: {}, resync: true });
  await h.clock.advance(0);
  await socket.reply("topics.changes", { topics: { t: 3 }, cursor: "new", more: false, reset: true });
  assert.equal(resets, 1);
  assert.deepEqual(pulled, [{ topic: "t", after: 0, version: 3 }]);
});

test("a lost socket comes back with backoff and the cursor it had", async () => {
  const h = harness();
  const first = await h.live();
  await first.end(1006);
  assert.deepEqual(h.state(), { name: "waiting", forMs: 500 });
  await h.clock.advance(500);
  await h.newest().end(1006);
  assert.deepEqual(h.state(), { name: "waiting", forMs: 1_000 });
  await h.clock.advance(1_000);
  assert.equal(h.sockets.length, 3);
  await h.newest().welcome();
  assert.deepEqual(h.newest().calls("topics.changes")[0]?.params, { cursor: "c1" });
});

test("the backoff begins anew only after a session that lasted", async () => {
  const h = harness();
  await (await h.live()).end(1006);
  await h.clock.advance(500);
  await h.newest().welcome();
  await h.newest().end(1006);
  assert.deepEqual(h.state(), { name: "waiting", forMs: 1_000 });
  await h.clock.advance(1_000);
  await h.newest().welcome();
  await h.clock.advance(STEADY_MS);
  await h.newest().end(1006);
  assert.deepEqual(h.state(), { name: "waiting", forMs: 500 });
});

test("an expired token is replaced, a refused one stops the client", async () => {
  const h = harness();
  const first = await h.live();
  await first.end(4419, "expired");
  await h.clock.advance(500);
  assert.deepEqual(h.asked, [false, true]);
  await h.newest().end(4401, "bad token");
  assert.deepEqual(h.state(), { name: "stopped", why: "refused", detail: "bad token" });
  await h.clock.advance(600_000);
  assert.equal(h.sockets.length, 2);
});

test("a source that has no token stops the client, one that fails is asked again", async () => {
  let answers = 0;
  const h = harness({
    credentials: async () => {
      answers += 1;
      throw answers === 1 ? new Error("unreachable") : new NoToken("expired for good");
    },
  });
  h.client.start();
  await settle();
  assert.equal(h.state()?.name, "waiting");
  await h.clock.advance(500);
  assert.deepEqual(h.state(), { name: "stopped", why: "no token", detail: "expired for good" });
});

test("goaway: the new socket opens after the delay, the old one works until the new one has its welcome", async () => {
  const h = harness();
  const old = await h.live();
  old.deliver({ type: "goaway", reason: "restart", reconnect_after_ms: 2_000, deadline_ms: 30_000 });
  assert.deepEqual(h.state(), { name: "live", moving: true });
  await h.clock.advance(1_999);
  assert.equal(h.sockets.length, 1);
  await h.clock.advance(1);
  assert.equal(h.sockets.length, 2);
  void h.client.call("m", {});
  assert.equal(old.calls("m").length, 1);
  await h.newest().welcome();
  assert.equal(old.closedByClient, false, "an answer is still on its way");
  await old.reply("m", {});
  assert.equal(old.closedByClient, true);
  await h.newest().reply("topics.changes", NOTHING_NEW);
  assert.deepEqual(h.state(), { name: "live", moving: false });
});

test("goaway: an answer that never comes does not keep the old socket", async () => {
  const h = harness();
  const old = await h.live();
  old.deliver({ type: "goaway", reason: "restart", reconnect_after_ms: 0, deadline_ms: 30_000 });
  await h.clock.advance(0);
  const lost = h.client.call("m", {}).catch((error: Error) => error.name);
  await h.newest().welcome();
  await h.clock.advance(LEAVE_TIMEOUT_MS);
  assert.equal(old.closedByClient, true);
  assert.equal(await lost, "Unanswered");
});

test("goaway: a drained gateway's close waits for the time that was named", async () => {
  const h = harness();
  const old = await h.live();
  old.deliver({ type: "goaway", reason: "restart", reconnect_after_ms: 2_000, deadline_ms: 1_000 });
  await h.clock.advance(1_000);
  await old.end(4503);
  assert.deepEqual(h.state(), { name: "waiting", forMs: 1_000 });
  await h.clock.advance(1_000);
  assert.equal(h.sockets.length, 2);
});

test("goaway: a gateway that was named is tried once, then the address that is always there", async () => {
  const h = harness();
  const old = await h.live();
  old.deliver({ type: "goaway", reason: "move", reconnect_after_ms: 0, deadline_ms: 9_000, url: "ws://other/v1/ws" });
  await h.clock.advance(0);
  assert.equal(h.newest().url, "ws://other/v1/ws");
  await h.newest().end(1006);
  await h.clock.advance(500);
  assert.equal(h.newest().url, "ws://home/v1/ws");
});

test("an unanswered act is sent again on the next socket, with the same key and before those after it", async () => {
  const h = harness();
  const first = await h.live();
  const results: unknown[] = [];
  void h.client.act("lane", "bot.act", { key: "k1" }).then((result) => results.push(result));
  void h.client.act("lane", "bot.act", { key: "k2" }).then((result) => results.push(result));
  assert.deepEqual(first.calls("bot.act").map((call) => call.params), [{ key: "k1" }]);
  await first.end(1006);
  await h.clock.advance(500);
  await h.newest().welcome();
  assert.deepEqual(h.newest().calls("bot.act").map((call) => call.params), [{ key: "k1" }]);
  await h.newest().reply("bot.act", { version: 1 });
  assert.deepEqual(h.newest().calls("bot.act").map((call) => call.params), [{ key: "k1" }, { key: "k2" }]);
  await h.newest().reply("bot.act", { version: 2 });
  assert.deepEqual(results, [{ version: 1 }, { version: 2 }]);
});

test("an act waits where the server says so, and fails where it is refused", async () => {
  const h = harness({ random: () => 0 });
  const socket = await h.live();
  const outcome = h.client.act("lane", "m", { key: "k" }).catch((error: Error) => error.message);
  await socket.refuse("m", { code: "rate_limited", message: "slower", retry_after_ms: 700 });
  await h.clock.advance(699);
  assert.equal(socket.calls("m").length, 1);
  await h.clock.advance(1);
  assert.equal(socket.calls("m").length, 2);
  await socket.refuse("m", { code: "invalid", message: "no text" });
  assert.equal(await outcome, "no text");
});

test("a silent socket is asked, and dropped when it does not answer", async () => {
  const h = harness();
  const socket = await h.live();
  await h.clock.advance(25_000);
  assert.equal(socket.frames.at(-1)?.type, "ping");
  socket.deliver({ type: "pong" });
  await h.clock.advance(25_000);
  assert.equal(socket.frames.filter((frame) => frame.type === "ping").length, 2);
  await h.clock.advance(PONG_TIMEOUT_MS);
  assert.equal(socket.closedByClient, true);
  assert.equal(h.state()?.name, "waiting");
});

test("a socket that never says welcome is given up", async () => {
  const h = harness();
  h.client.start();
  await settle();
  await h.clock.advance(WELCOME_TIMEOUT_MS);
  assert.equal(h.newest().closedByClient, true);
  assert.equal(h.state()?.name, "waiting");
});

test("without a hint the cursor is asked once in some heartbeats", async () => {
  const h = harness({ random: () => 0.5 });
  const socket = await h.live();
  const chatter = () => socket.deliver({ type: "pong" });
  for (let i = 0; i < 9; i++) {
    await h.clock.advance(10_000);
    chatter();
  }
  assert.equal(socket.calls("topics.changes").length, 1);
  await h.clock.advance(10_000);
  assert.equal(socket.calls("topics.changes").length, 2);
});

test("a token is renewed in band before it ends, measured on the server's clock", async () => {
  let given = 0;
  const h = harness({
    credentials: async () => ({ token: `t${++given}`, expiresAtMs: 1_000 + given * 10_000 }),
  });
  const socket = await h.live();
  await h.clock.advance(7_999);
  assert.equal(given, 1);
  await h.clock.advance(1);
  assert.deepEqual(socket.frames.at(-1), { type: "token", token: "t2" });
  await h.clock.advance(9_600);
  assert.deepEqual(socket.frames.at(-1), { type: "token", token: "t3" });
});

test("a nudge ends the wait", async () => {
  const h = harness();
  await (await h.live()).end(1006);
  h.client.nudge();
  await settle();
  assert.equal(h.sockets.length, 2);
});

test("a stopped client sends nothing more and fails what was waiting", async () => {
  const h = harness();
  const socket = await h.live();
  await socket.end(1006);
  const waiting = h.client.act("lane", "m", { key: "k" }).catch((error: Error) => error.name);
  h.client.stop();
  assert.equal(await waiting, "Stopped");
  await h.clock.advance(600_000);
  assert.equal(h.sockets.length, 1);
});

test("no token is shown to whoever watches the frames", async () => {
  const seen: string[] = [];
  const h = harness({ onFrame: (direction, frame) => seen.push(`${direction} ${JSON.stringify(frame)}`) });
  await h.live();
  assert.equal(seen[0], 'sent {"type":"hello","token":"…"}');
  assert.ok(seen.every((line) => !line.includes("token 1")));
  assert.ok(h.sockets[0] instanceof FakeSocket);
});
