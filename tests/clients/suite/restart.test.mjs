// What a client sees when the server goes: in order, and not.
import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { after, before, test } from "node:test";
import { Client, encodings } from "../client.mjs";
import { Server, within } from "../server.mjs";

let server;
before(async () => {
  server = await Server.start();
});
after(() => server.dispose());

test("after kill -9 everything acknowledged is there, and the old cursor holds", async () => {
  const a = await Client.session(server, "alice", "json");
  const { conversation, topic } = await a.call("conversations.create", { members: ["bob"], key: randomUUID() });
  const b = await Client.session(server, "bob", "json");
  const { cursor } = await b.changes();
  const keys = Array.from({ length: 8 }, () => randomUUID());
  const acknowledged = [];
  for (const [i, key] of keys.entries()) {
    acknowledged.push(await a.call("messages.send", { conversation, key, text: `m${i}` }));
  }
  await server.kill();
  assert.equal((await b.end()).code, 1006);

  await server.start();
  const again = await Client.session(server, "bob", "json");
  const missed = await again.changes(cursor);
  assert.equal(missed.topics[topic], 8);
  assert.notEqual(missed.reset, true);
  const { messages } = await again.call("messages.list", { conversation, after: 0 });
  const kept = messages.map(({ id, version, sent_at_ms }) => ({ conversation, id, version, sent_at_ms }));
  const sent = acknowledged.map(({ id, version, sent_at_ms }) => ({ conversation, id, version, sent_at_ms }));
  assert.deepEqual(kept, sent);

  const repeated = await server.call("alice", "messages.send", { conversation, key: keys[3], text: "m3" });
  assert.deepEqual(repeated, acknowledged[3]);
  const next = await server.call("alice", "messages.send", { conversation, key: randomUUID(), text: "after" });
  assert.equal(next.version, 9);
  await again.hinted(topic, 9);
  await again.close();
});

for (const encoding of encodings) {
  test(`${encoding}: SIGTERM says goaway, keeps answering, then closes with 4503`, async () => {
    const client = await Client.session(server, "alice", encoding);
    server.terminate();
    const goaway = await client.next("goaway");
    assert.ok(goaway.reason.length > 0);
    assert.ok(goaway.reconnect_after_ms >= 0);
    assert.ok(goaway.deadline_ms > 0);
    const { conversations } = await client.call("conversations.list");
    assert.ok(Array.isArray(conversations));
    assert.equal((await client.end()).code, 4503);
    const { code } = await within(30_000, "the server's end", server.ended);
    assert.equal(code, 0);
    await server.start();
  });
}
