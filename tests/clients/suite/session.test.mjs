// Hello, welcome, the frames that are refused, and how a session ends.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { WebSocket } from "ws";
import { Client, encodings } from "../client.mjs";
import { Server, within } from "../server.mjs";

let server;
before(async () => {
  server = await Server.start();
});
after(() => server.dispose());

/** The HTTP status with which an upgrade is refused. */
function refusal(protocols, options) {
  const socket = new WebSocket(server.wsUrl, protocols, options);
  socket.on("error", () => {});
  const status = new Promise((resolve, reject) => {
    socket.once("unexpected-response", (_, response) => resolve(response.statusCode));
    socket.once("open", () => reject(new Error("the upgrade succeeded")));
  });
  return within(15_000, "a refused upgrade", status).finally(() => socket.terminate());
}

for (const encoding of encodings) {
  test(`${encoding}: hello is answered with a welcome`, async () => {
    const client = await Client.session(server, "alice", encoding, { device: "tablet", client: "test/1" });
    assert.equal(client.subprotocol, `doorbell.v1.${encoding}`);
    const { session, user, device, server_time_ms, heartbeat_ms, limits } = client.welcome;
    assert.ok(session.length > 0);
    assert.equal(user, "alice");
    assert.equal(device, "tablet");
    assert.ok(Math.abs(server_time_ms - Date.now()) < 60_000);
    assert.equal(heartbeat_ms, 25_000);
    assert.equal(limits.frame_bytes, 128 * 1024);
    assert.ok(limits.calls_per_second > 0);
    await client.close();
  });

  test(`${encoding}: a token that came with the upgrade needs no second one`, async () => {
    const client = new Client(server.wsUrl, encoding, { Authorization: `Bearer ${server.token("alice")}` });
    await client.opened;
    client.send({ type: "hello" });
    assert.equal((await client.next("welcome")).user, "alice");
    await client.close();
  });

  test(`${encoding}: ping is answered with its id`, async () => {
    const client = await Client.session(server, "alice", encoding);
    client.send({ type: "ping", id: "p-1" });
    assert.deepEqual(await client.next("pong"), { type: "pong", id: "p-1" });
    client.send({ type: "ping" });
    assert.deepEqual(await client.next("pong"), { type: "pong" });
    await client.close();
  });

  for (const [name, hello] of [["a bad token", { token: "not.a.token" }], ["no token", {}]]) {
    test(`${encoding}: ${name} closes with 4401`, async () => {
      const client = new Client(server.wsUrl, encoding);
      await client.opened;
      client.send({ type: "hello", ...hello });
      assert.equal((await client.end()).code, 4401);
    });
  }

  test(`${encoding}: a token of another server closes with 4401`, async () => {
    const other = await Server.start();
    const client = new Client(server.wsUrl, encoding);
    await client.opened;
    client.send({ type: "hello", token: other.token("alice") });
    assert.equal((await client.end()).code, 4401);
    await other.dispose();
  });

  test(`${encoding}: an unknown method and an unknown type are answered, and the session stays`, async () => {
    const client = await Client.session(server, "alice", encoding);
    const { error } = await client.reply("messages.sned");
    assert.equal(error.code, "unknown_method");
    assert.equal("retry_after_ms" in error, false);
    client.send({ type: "dance" });
    assert.equal((await client.next("error")).code, "unknown_type");
    client.send({ type: "dance", id: 77 });
    assert.equal((await client.next("reply", (frame) => frame.id === 77)).error.code, "unknown_type");
    client.send({ type: "call", id: 78 });
    assert.equal((await client.next("reply", (frame) => frame.id === 78)).error.code, "invalid");
    client.send({ type: "ping" });
    await client.next("pong");
    await client.close();
  });

  test(`${encoding}: fields that nobody knows are ignored`, async () => {
    const client = await Client.session(server, "alice", encoding, { colour: "green" });
    client.send({ type: "ping", id: 3, mood: { good: true } });
    assert.equal((await client.next("pong")).id, 3);
    await client.close();
  });

  test(`${encoding}: a frame beyond the limit closes with 1009`, async () => {
    const client = await Client.session(server, "alice", encoding);
    client.send({ type: "ping", padding: "x".repeat(client.welcome.limits.frame_bytes) });
    assert.equal((await client.end()).code, 1009);
  });

  test(`${encoding}: the other encoding's opcode closes with 4400 and says so`, async () => {
    const client = await Client.session(server, "alice", encoding);
    client.raw(Buffer.from('{"type":"ping"}'), encoding === "json");
    const { code, reason } = await client.end();
    assert.equal(code, 4400);
    assert.ok(reason.length > 0);
  });
}

test("a session whose token ends is closed with 4419, one that renewed it in band is not", async () => {
  const token = server.shortToken("alice", "3s");
  const [forgetful, careful] = await Promise.all([
    Client.session(server, "alice", "json", { token, device: "a" }),
    Client.session(server, "alice", "msgpack", { token, device: "b" }),
  ]);
  careful.send({ type: "token", token: server.token("alice") });
  assert.equal((await forgetful.end()).code, 4419);
  careful.send({ type: "ping", id: 9 });
  assert.equal((await careful.next("pong")).id, 9);
  assert.ok(Array.isArray((await careful.call("conversations.list")).conversations));
  await careful.close();
});

test("what is no object, or has no type, closes with 4400", async () => {
  for (const text of ["[1]", "{}", "ping", '{"type":7}']) {
    const client = await Client.session(server, "alice", "json");
    client.raw(text, false);
    assert.equal((await client.end()).code, 4400, text);
  }
});

test("a first frame that is no hello ends the session", async () => {
  const client = new Client(server.wsUrl, "json");
  await client.opened;
  client.send({ type: "ping" });
  const { code } = await client.end();
  assert.ok(code >= 4400 && code < 4500, String(code));
});

test("none of the sub-protocols known: 400, and none offered means JSON", async () => {
  assert.equal(await refusal(["graphql-ws"], {}), 400);
  const socket = new WebSocket(server.wsUrl);
  socket.once("open", () => socket.send(JSON.stringify({ type: "hello", token: server.token("alice") })));
  const first = new Promise((resolve, reject) => {
    socket.once("message", (data, binary) => resolve({ binary, frame: JSON.parse(data.toString()) }));
    socket.once("error", reject);
  });
  const { binary, frame } = await within(15_000, "the welcome", first);
  assert.deepEqual([binary, frame.type], [false, "welcome"]);
  socket.terminate();
});

test("a bad token with the upgrade: 401, and a foreign origin: 403", async () => {
  assert.equal(await refusal(["doorbell.v1.json"], { headers: { Authorization: "Bearer nonsense" } }), 401);
  assert.equal(await refusal(["doorbell.v1.json"], { origin: "https://evil.example" }), 403);
});
