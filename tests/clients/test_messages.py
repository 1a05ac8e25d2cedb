"""Send, hint, pull; what was missed; what is repeated; what is not one's own."""
import asyncio
import json
import unittest

from client import Client, key, of_conversations, people
from server import Server


def setUpModule():
    global server
    server = Server()


def tearDownModule():
    server.dispose()


class Messages:
    """The same for each encoding."""

    encoding: str

    def connect(self):
        return Client(server.ws_url, self.encoding)

    async def test_a_message_is_sent_hinted_and_pulled(self):
        alice, bob = people("alice", "bob")
        async with self.connect() as a, self.connect() as b:
            await a.hello(server.token(alice))
            await b.hello(server.token(bob))
            made = await a.call("conversations.create", members=[bob], key=key())
            conversation, topic = made["conversation"], made["topic"]
            self.assertEqual(topic, f"conversation:{conversation}")
            await b.hinted(f"inbox:{bob}", 1)

            text = 'Grüße, "Bob"\n🔔'
            sent = await a.call("messages.send", conversation=conversation, key=key(), text=text)
            self.assertEqual(sent["version"], 1)
            self.assertEqual(await b.hinted(topic, 1), 1)
            page = await b.call("messages.list", conversation=conversation, after=0)
            self.assertFalse(page["more"])
            (message,) = page["messages"]
            self.assertEqual((message["from"], message["kind"], message["text"]), (alice, "message", text))
            self.assertEqual(message["id"], sent["id"])

            marked = await b.call("conversations.mark_read", conversation=conversation, version=1)
            self.assertEqual(marked, {"read": 1})
            about = await b.call("conversations.get", conversation=conversation)
            self.assertEqual((about["version"], about["read"], about["unread"]), (1, 1, 0))
            self.assertEqual(sorted(about["members"]), sorted([alice, bob]))

    async def test_a_hint_carries_no_content(self):
        alice, bob = people("alice", "bob")
        made = server.call(alice, "conversations.create", members=[bob], title="A title", key=key())
        async with self.connect() as b:
            await b.hello(server.token(bob))
            server.call(alice, "messages.send", conversation=made["conversation"], key=key(), text="secret")
            hint = await b.next("hint", lambda frame: made["topic"] in frame["topics"])
            self.assertLessEqual(set(hint), {"type", "topics", "pull_after_ms", "more", "resync"})
            self.assertTrue(all(isinstance(version, int) for version in hint["topics"].values()))

    async def test_after_a_disconnect_the_cursor_shows_what_was_missed(self):
        alice, bob = people("alice", "bob")
        made = server.call(alice, "conversations.create", members=[bob], key=key())
        conversation, topic = made["conversation"], made["topic"]
        server.call(alice, "messages.send", conversation=conversation, key=key(), text="before")
        async with self.connect() as b:
            await b.hello(server.token(bob))
            topics, cursor, _ = await b.changes()
            self.assertEqual(topics[topic], 1)
            b.ws.transport.abort()

        for text in ("one", "two", "three"):
            server.call(alice, "messages.send", conversation=conversation, key=key(), text=text)

        async with self.connect() as b:
            await b.hello(server.token(bob))
            topics, cursor, reset = await b.changes(cursor)
            self.assertEqual((of_conversations(topics), reset), ({topic: 4}, False))
            page = await b.call("messages.list", conversation=conversation, after=1)
            found = [(message["version"], message["text"]) for message in page["messages"]]
            self.assertEqual(found, [(2, "one"), (3, "two"), (4, "three")])
            self.assertEqual(of_conversations((await b.changes(cursor))[0]), {})

    async def test_a_change_during_the_start_is_in_the_cursor_or_hinted(self):
        alice, bob = people("alice", "bob")
        made = server.call(alice, "conversations.create", members=[bob], key=key())
        conversation, topic = made["conversation"], made["topic"]
        for version in range(1, 6):
            sending = asyncio.to_thread(
                server.call, alice, "messages.send", conversation=conversation, key=key(), text="now"
            )
            sending = asyncio.ensure_future(sending)
            async with self.connect() as b:
                await b.hello(server.token(bob))
                topics, _, _ = await b.changes()
                await sending
                if topics.get(topic, 0) < version:
                    await b.hinted(topic, version)

    async def test_one_key_sends_once_however_many_send_it_in_parallel(self):
        alice, bob = people("alice", "bob")
        async with self.connect() as a:
            await a.hello(server.token(alice))
            made = await a.call("conversations.create", members=[bob], key=key())
            message = {"conversation": made["conversation"], "key": key(), "text": "once"}
            posts = [asyncio.to_thread(server.call, alice, "messages.send", **message) for _ in range(6)]
            answers = await asyncio.gather(a.call("messages.send", **message), *posts)
            self.assertTrue(all(answer == answers[0] for answer in answers), answers)
            page = await a.call("messages.list", conversation=made["conversation"], after=0)
            self.assertEqual([entry["text"] for entry in page["messages"]], ["once"])
            other = await a.reply("messages.send", **(message | {"text": "something else"}))
            self.assertEqual(other["error"]["code"], "conflict")

    async def test_a_pair_has_one_conversation(self):
        alice, bob = people("alice", "bob")
        by_alice = server.call(alice, "conversations.create", members=[bob], key=key())
        by_bob = server.call(bob, "conversations.create", members=[alice], key=key())
        self.assertEqual(by_alice, by_bob)
        async with self.connect() as a:
            await a.hello(server.token(alice))
            sent = await a.call("messages.send", to=bob, key=key(), text="straight to you")
            self.assertEqual(sent["conversation"], by_alice["conversation"])

    async def test_what_is_not_ones_own_answers_like_what_is_not_there(self):
        alice, bob, eve = people("alice", "bob", "eve")
        conversation = server.call(alice, "conversations.create", members=[bob], key=key())["conversation"]
        attempts = {
            "conversations.get": {},
            "messages.list": {"after": 0},
            "messages.send": {"key": key(), "text": "hello?"},
            "conversations.mark_read": {"version": 1},
            "conversations.update": {"muted": True},
            "messages.edit": {"of": 1, "key": key(), "text": "mine now"},
            "messages.delete": {"of": 1, "key": key()},
            "members.add": {"users": [eve]},
            "members.remove": {"users": [eve]},
        }
        async with self.connect() as e:
            await e.hello(server.token(eve))
            for method, params in attempts.items():
                with self.subTest(method=method):
                    foreign = await e.reply(method, conversation=conversation, **params)
                    absent = await e.reply(method, conversation=conversation[:-4] + "zzzz", **params)
                    self.assertEqual(foreign["error"]["code"], "not_found")
                    self.assertEqual(foreign["error"], absent["error"])

    async def test_members_come_and_go(self):
        alice, bob, eve = people("alice", "bob", "eve")
        made = server.call(alice, "conversations.create", members=[bob], title="Open", key=key())
        conversation, topic = made["conversation"], made["topic"]
        server.call(alice, "messages.send", conversation=conversation, key=key(), text="before")
        async with self.connect() as e:
            await e.hello(server.token(eve))
            _, cursor, _ = await e.changes()
            added = server.call(bob, "members.add", conversation=conversation, users=[eve, bob])
            self.assertEqual(added, {"members": 3})
            await e.hinted(f"inbox:{eve}", 1)
            topics, cursor, _ = await e.changes(cursor)
            self.assertEqual(of_conversations(topics), {topic: 1})
            page = await e.call("messages.list", conversation=conversation)
            self.assertEqual([message["text"] for message in page["messages"]], ["before"])

            forbidden = await e.reply("members.remove", conversation=conversation, users=[bob])
            self.assertEqual(forbidden["error"]["code"], "forbidden")
            left = await e.call("members.remove", conversation=conversation, users=[eve])
            self.assertEqual(left, {"members": 2})
            page = await e.call("topics.changes", cursor=cursor)
            self.assertEqual(page["gone"], [topic])
            gone = await e.reply("messages.list", conversation=conversation)
            self.assertEqual(gone["error"]["code"], "not_found")

    async def test_a_title_is_in_the_log_and_a_label_is_ones_own(self):
        alice, bob = people("alice", "bob")
        made = server.call(alice, "conversations.create", members=[bob], title="Old", key=key())
        conversation, topic = made["conversation"], made["topic"]
        async with self.connect() as b:
            await b.hello(server.token(bob))
            shown = server.call(alice, "conversations.update", conversation=conversation, title="New", label="mine")
            self.assertEqual((shown["title"], shown["label"], shown["version"]), ("New", "mine", 1))
            await b.hinted(topic, 1)
            page = await b.call("messages.list", conversation=conversation)
            (entry,) = page["messages"]
            self.assertEqual((entry["kind"], entry["text"], entry["from"]), ("rename", "New", alice))
            about = await b.call("conversations.get", conversation=conversation)
            self.assertEqual((about["title"], about.get("label"), about["unread"]), ("New", None, 0))

    async def test_what_is_deleted_is_gone_from_every_answer(self):
        alice, bob = people("alice", "bob")
        conversation = server.call(alice, "conversations.create", members=[bob], key=key())["conversation"]
        topic = f"conversation:{conversation}"
        message = {"conversation": conversation, "key": key(), "text": "seecret", "meta": {"n": "secret"}}
        sent = server.call(alice, "messages.send", **message)
        async with self.connect() as b:
            await b.hello(server.token(bob))
            edited = server.call(alice, "messages.edit", conversation=conversation, of=1, key=key(), text="secret")
            self.assertEqual(edited["version"], await b.hinted(topic, 2))
            about = await b.call("conversations.get", conversation=conversation)
            self.assertEqual((about["last"]["text"], about["last"]["edited"], about["unread"]), ("secret", 2, 1))
            forbidden = await b.reply("messages.delete", conversation=conversation, of=1, key=key())
            self.assertEqual(forbidden["error"]["code"], "forbidden")

            server.call(alice, "messages.delete", conversation=conversation, of=1, key=key())
            await b.hinted(topic, 3)
            page = await b.call("messages.list", conversation=conversation)
            found = [(entry["kind"], entry.get("of"), entry.get("deleted", False)) for entry in page["messages"]]
            self.assertEqual(found, [("message", None, True), ("edit", 1, True), ("delete", 1, False)])
            for answer in (page, await b.call("conversations.list"), await b.call("topics.changes")):
                self.assertNotIn("secret", json.dumps(answer))
        self.assertEqual(server.call(alice, "messages.send", **message), sent)
        late = {"conversation": conversation, "of": 1, "key": key(), "text": "secret"}
        self.assertEqual(server.post(alice, "messages.edit", **late)[0], 409)

    async def test_a_list_is_kept_with_a_cursor(self):
        alice, bob, eve = people("alice", "bob", "eve")
        made = [server.call(alice, "conversations.create", members=[bob], title=t, key=key()) for t in "abc"]
        ids = [one["conversation"] for one in made]
        async with self.connect() as b:
            await b.hello(server.token(bob))
            _, cursor, _ = await b.changes()
            server.call(alice, "members.remove", conversation=ids[0], users=[bob])
            server.call(alice, "members.add", conversation=ids[2], users=[eve])
            await b.call("conversations.update", conversation=ids[1], label="work")
            changed, gone, more = [], [], True
            while more:
                page = await b.call("conversations.list", changed_since=cursor, limit=1)
                changed += page["conversations"]
                gone += page["gone"]
                cursor, more = page["cursor"], page["more"]
            self.assertEqual((gone, [one["conversation"] for one in changed]), ([ids[0]], [ids[2], ids[1]]))
            self.assertEqual((changed[0]["member_count"], changed[1]["label"]), (3, "work"))
            self.assertEqual(of_conversations((await b.changes(cursor))[0]), {})

    async def test_pages_of_a_log_join(self):
        alice, bob = people("alice", "bob")
        conversation = server.call(alice, "conversations.create", members=[bob], key=key())["conversation"]
        for number in range(1, 10):
            server.call(alice, "messages.send", conversation=conversation, key=key(), text=str(number))
        async with self.connect() as b:
            await b.hello(server.token(bob))
            found, after, more = [], 0, True
            while more:
                page = await b.call("messages.list", conversation=conversation, after=after, limit=4)
                found += [message["text"] for message in page["messages"]]
                after, more = page["messages"][-1]["version"], page["more"]
            self.assertEqual(found, [str(number) for number in range(1, 10)])
            page = await b.call("messages.list", conversation=conversation, before=6, limit=3)
            self.assertEqual([message["version"] for message in page["messages"]], [3, 4, 5])
            self.assertTrue(page["more"])


class MessagesInJson(Messages, unittest.IsolatedAsyncioTestCase):
    encoding = "json"


class MessagesInMsgpack(Messages, unittest.IsolatedAsyncioTestCase):
    encoding = "msgpack"
