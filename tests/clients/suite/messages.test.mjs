// Send, hint, pull; what was missed; what is repeated; what is not one's own.
import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { after, before, test } from "node:test";
import { Client, encodings, ofConversations } from "../client.mjs";
import { Server } from "../server.mjs";

let server;
before(async () => {
  server = await Server.start();
});
after(() => server.dispose());

/** Names that no other test uses: each has its own throttle and its own conversations. */
function people(...names) {
  const suffix = randomUUID().slice(0, 8);
  return names.map((name) => `${name}-${suffix}`);
}

for (const encoding of encodings) {
  test(`${encoding}: a message is sent, hinted and pulled`, async () => {
    const [alice, bob] = people("alice", "bob");
    const a = await Client.session(server, alice, encoding);
    const b = await Client.session(server, bob, encoding);
    const { conversation, topic } = await a.call("conversations.create", { members: [bob], key: randomUUID() });
    assert.equal(topic, `conversation:${conversation}`);
    await b.hinted(`inbox:${bob}`, 1);

    const text = 'Grüße, "Bob"\n🔔';
    const sent = await a.call("messages.send", { conversation, key: randomUUID(), text });
    assert.equal(sent.version, 1);
    assert.equal(await b.hinted(topic, 1), 1);
    const { messages, more } = await b.call("messages.list", { conversation, after: 0 });
    assert.equal(more, false);
    const [message] = messages;
    assert.deepEqual([message.version, message.kind, message.from, message.text], [1, "message", alice, text]);
    assert.equal(message.id, sent.id);
    assert.equal(message.sent_at_ms, sent.sent_at_ms);

    const { conversations } = await b.call("conversations.list");
    const entry = conversations.find((each) => each.conversation === conversation);
    assert.deepEqual([entry.version, entry.read, entry.unread, entry.last.text], [1, 0, 1, text]);
    assert.equal(entry.title ?? null, null);
    assert.deepEqual([...entry.members].sort(), [alice, bob].sort());
    assert.deepEqual(await b.call("conversations.mark_read", { conversation, version: 1 }), { read: 1 });
    const got = await b.call("conversations.get", { conversation });
    assert.deepEqual([got.read, got.unread], [1, 0]);
    await Promise.all([a.close(), b.close()]);
  });

  test(`${encoding}: after a disconnect the cursor shows what was missed`, async () => {
    const [alice, bob] = people("alice", "bob");
    const a = await Client.session(server, alice, encoding);
    const first = await Client.session(server, bob, encoding);
    const { conversation, topic } = await a.call("conversations.create", { members: [bob], key: randomUUID() });
    await a.call("messages.send", { conversation, key: randomUUID(), text: "before" });
    await first.hinted(topic, 1);
    const known = await first.changes();
    assert.equal(known.topics[topic], 1);
    first.drop();

    for (const text of ["one", "two", "three"]) await a.call("messages.send", { conversation, key: randomUUID(), text });

    const second = await Client.session(server, bob, encoding);
    const missed = await second.changes(known.cursor);
    assert.deepEqual(ofConversations(missed.topics), { [topic]: 4 });
    assert.notEqual(missed.reset, true);
    const { messages } = await second.call("messages.list", { conversation, after: 1 });
    assert.deepEqual(messages.map(({ version, text }) => [version, text]), [[2, "one"], [3, "two"], [4, "three"]]);
    assert.deepEqual(ofConversations((await second.changes(missed.cursor)).topics), {});
    await Promise.all([a.close(), second.close()]);
  });

  test(`${encoding}: a cursor of another store is answered with a reset`, async () => {
    const [alice] = people("alice");
    const other = await Server.start();
    const there = await Client.session(other, alice, encoding);
    const { cursor } = await there.changes();
    await there.close();
    await other.dispose();
    const here = await Client.session(server, alice, encoding);
    assert.equal((await here.changes(cursor)).reset, true);
    await here.close();
  });

  test(`${encoding}: one key sends once, however many send it in parallel`, async () => {
    const [alice, bob] = people("alice", "bob");
    const a = await Client.session(server, alice, encoding);
    const create = { members: [bob], title: "Once", key: randomUUID() };
    const made = await Promise.all([a.call("conversations.create", create), a.call("conversations.create", create)]);
    assert.equal(made[0].conversation, made[1].conversation);
    const { conversation } = made[0];

    const message = { conversation, key: randomUUID(), text: "once" };
    const calls = Array.from({ length: 5 }, () => a.call("messages.send", message));
    const posts = Array.from({ length: 5 }, () => server.call(alice, "messages.send", message));
    const answers = await Promise.all([...calls, ...posts]);
    for (const answer of answers) assert.deepEqual(answer, answers[0]);
    const { messages } = await a.call("messages.list", { conversation, after: 0 });
    assert.deepEqual(messages.filter(({ kind }) => kind === "message").map(({ text }) => text), ["once"]);

    const { error } = await a.reply("messages.send", { ...message, text: "something else" });
    assert.equal(error.code, "conflict");
    await a.close();
  });

  test(`${encoding}: what is not one's own answers like what is not there`, async () => {
    const [alice, bob, eve] = people("alice", "bob", "eve");
    const { conversation } = await server.call(alice, "conversations.create", { members: [bob], key: randomUUID() });
    await server.call(alice, "messages.send", { conversation, key: randomUUID(), text: "private" });
    const e = await Client.session(server, eve, encoding);
    const absent = `${conversation.slice(0, -4)}zzzz`;
    const attempts = [
      ["conversations.get", {}],
      ["messages.list", { after: 0 }],
      ["messages.send", { key: randomUUID(), text: "hello?" }],
      ["conversations.mark_read", { version: 1 }],
    ];
    for (const [method, params] of attempts) {
      const foreign = await e.reply(method, { conversation, ...params });
      const nowhere = await e.reply(method, { conversation: absent, ...params });
      assert.equal(foreign.error?.code, "not_found", method);
      assert.deepEqual(foreign.error, nowhere.error, method);
    }
    assert.deepEqual((await e.call("conversations.list")).conversations, []);
    assert.deepEqual(ofConversations((await e.changes()).topics), {});
    await e.close();
  });

  test(`${encoding}: both doors answer alike`, async () => {
    const [alice, bob] = people("alice", "bob");
    const a = await Client.session(server, alice, encoding);
    const { conversation } = await a.call("conversations.create", { members: [bob], key: randomUUID() });
    await a.call("messages.send", { conversation, key: randomUUID(), text: "seen from both" });
    for (const [method, params] of [["messages.list", { conversation, after: 0 }], ["conversations.get", { conversation }]]) {
      assert.deepEqual(await a.call(method, params), await server.call(alice, method, params), method);
    }
    const refused = await server.post(alice, "conversations.get", { conversation: "nowhere" });
    assert.deepEqual([refused.status, refused.error.code], [404, "not_found"]);
    const unknown = await server.post(alice, "messages.sned", {});
    assert.deepEqual([unknown.status >= 400, unknown.error.code], [true, "unknown_method"]);
    await a.close();
  });

  test(`${encoding}: reading in one session is hinted to the user's others`, async () => {
    const [alice, bob] = people("alice", "bob");
    const { conversation, topic } = await server.call(alice, "conversations.create", { members: [bob], key: randomUUID() });
    const phone = await Client.session(server, bob, encoding, { device: "phone" });
    const laptop = await Client.session(server, bob, encoding, { device: "laptop" });
    await server.call(alice, "messages.send", { conversation, key: randomUUID(), text: "hi" });
    await Promise.all([phone.hinted(topic, 1), laptop.hinted(topic, 1)]);
    const before = (await laptop.changes()).topics[`inbox:${bob}`] ?? 0;
    await phone.call("conversations.mark_read", { conversation, version: 1 });
    await laptop.hinted(`inbox:${bob}`, before + 1);
    assert.equal((await laptop.call("conversations.get", { conversation })).unread, 0);
    await Promise.all([phone.close(), laptop.close()]);
  });

  test(`${encoding}: too many messages at once are told when to come back`, async () => {
    const [alice, bob] = people("alice", "bob");
    const a = await Client.session(server, alice, encoding);
    const { conversation } = await a.call("conversations.create", { members: [bob], key: randomUUID() });
    const sends = Array.from({ length: 30 }, (_, i) =>
      a.reply("messages.send", { conversation, key: randomUUID(), text: `${i}` }),
    );
    const refused = (await Promise.all(sends)).filter(({ error }) => error);
    assert.ok(refused.length > 0);
    for (const { error } of refused) {
      assert.equal(error.code, "rate_limited");
      assert.ok(error.retry_after_ms > 0);
    }
    await a.close();
  });
}
