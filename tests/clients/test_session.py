"""Hello, welcome, the frames that are refused, and how a session ends."""
import asyncio
import functools
import time
import unittest

from websockets.exceptions import InvalidStatus

from client import Client, key, of_conversations
from server import Server


def setUpModule():
    global server
    server = Server()


def tearDownModule():
    server.dispose()


class Sessions:
    """The same for each encoding."""

    encoding: str

    def connect(self, **options):
        return Client(server.ws_url, self.encoding, **options)

    async def test_hello_is_answered_with_a_welcome(self):
        async with self.connect() as client:
            self.assertEqual(client.ws.subprotocol, f"doorbell.v1.{self.encoding}")
            welcome = await client.hello(server.token("alice"), device="tablet", client="test/1")
            self.assertEqual((welcome["user"], welcome["device"]), ("alice", "tablet"))
            self.assertLess(abs(welcome["server_time_ms"] / 1000 - time.time()), 60)
            self.assertGreater(welcome["heartbeat_ms"], 0)
            self.assertEqual(welcome["limits"]["frame_bytes"], 128 * 1024)

    async def test_a_bad_token_closes_with_4401(self):
        async with self.connect() as client:
            await client.send(type="hello", token="not.a.token")
            self.assertEqual((await client.closed())[0], 4401)

    async def test_a_bad_token_with_the_upgrade_is_answered_with_401(self):
        with self.assertRaises(InvalidStatus) as refused:
            async with self.connect(additional_headers={"Authorization": "Bearer nonsense"}):
                pass
        self.assertEqual(refused.exception.response.status_code, 401)

    async def test_a_token_is_renewed_in_band_for_its_own_user_alone(self):
        async with self.connect() as client:
            await client.hello(server.token("alice"))
            await client.send(type="token", token=server.token("alice"))
            await client.send(type="ping", id=1)
            await client.next("pong")
            await client.send(type="token", token=server.token("bob"))
            self.assertEqual((await client.closed())[0], 4401)

    async def test_unknown_method_and_type_are_answered_and_the_session_stays(self):
        async with self.connect() as client:
            await client.hello(server.token("alice"))
            self.assertEqual((await client.reply("messages.sned"))["error"]["code"], "unknown_method")
            await client.send(type="dance")
            self.assertEqual((await client.next("error"))["code"], "unknown_type")
            await client.send(type="dance", id="d")
            self.assertEqual((await client.next("reply"))["error"]["code"], "unknown_type")
            await client.send(type="ping", id=4)
            self.assertEqual(await client.next("pong"), {"type": "pong", "id": 4})

    async def test_bad_parameters_are_invalid(self):
        async with self.connect() as client:
            await client.hello(server.token("alice"))
            attempts = [
                ("messages.send", {"conversation": "x"}),
                ("messages.send", {"conversation": 7, "key": key(), "text": "x"}),
                ("conversations.create", {"members": "bob", "key": key()}),
                ("messages.list", {}),
            ]
            for method, params in attempts:
                with self.subTest(method=method, params=params):
                    self.assertEqual((await client.reply(method, **params))["error"]["code"], "invalid")

    async def test_an_oversize_frame_closes_with_1009(self):
        async with self.connect() as client:
            await client.hello(server.token("alice"))
            await client.send(type="ping", padding="x" * client.welcome["limits"]["frame_bytes"])
            self.assertEqual((await client.closed())[0], 1009)

    async def test_a_fragmented_frame_is_one_frame(self):
        async with self.connect() as client:
            await client.hello(server.token("alice"))
            whole = '{"type":"ping","id":5}' if self.encoding == "json" else b"\x82\xa4type\xa4ping\xa2id\x05"
            await client.ws.send([whole[:7], whole[7:9], whole[9:]])
            self.assertEqual((await client.next("pong"))["id"], 5)

    async def test_the_other_opcode_closes_with_4400(self):
        async with self.connect() as client:
            await client.hello(server.token("alice"))
            await client.ws.send(b"\x81\xa4type\xa4ping" if self.encoding == "json" else '{"type":"ping"}')
            code, reason = await client.closed()
            self.assertEqual(code, 4400)
            self.assertTrue(reason)

    async def test_a_websocket_ping_is_answered(self):
        async with self.connect() as client:
            await client.hello(server.token("alice"))
            async with asyncio.timeout(15):
                await (await client.ws.ping(b"there?"))


class SessionsInJson(Sessions, unittest.IsolatedAsyncioTestCase):
    encoding = "json"


class SessionsInMsgpack(Sessions, unittest.IsolatedAsyncioTestCase):
    encoding = "msgpack"


class Ending(unittest.IsolatedAsyncioTestCase):
    async def test_sigterm_says_goaway_then_closes_with_4503(self):
        for encoding in ("json", "msgpack"):
            with self.subTest(encoding=encoding):
                ending = await asyncio.to_thread(Server)
                self.addCleanup(ending.dispose)
                token = await asyncio.to_thread(ending.token, "alice")
                async with Client(ending.ws_url, encoding) as client:
                    await client.hello(token)
                    ending.terminate()
                    goaway = await client.next("goaway")
                    self.assertTrue(goaway["reason"])
                    self.assertGreaterEqual(goaway["reconnect_after_ms"], 0)
                    self.assertGreater(goaway["deadline_ms"], 0)
                    self.assertEqual((await client.closed())[0], 4503)
                self.assertEqual(await asyncio.to_thread(ending.process.wait, 30), 0)

    async def test_after_kill_everything_acknowledged_is_there(self):
        killed = await asyncio.to_thread(Server)
        self.addCleanup(killed.dispose)
        call = functools.partial(asyncio.to_thread, killed.call, "alice")
        token = await asyncio.to_thread(killed.token, "bob")
        conversation = (await call("conversations.create", members=["bob"], key=key()))["conversation"]
        async with Client(killed.ws_url, "json") as bob:
            await bob.hello(token)
            _, cursor, _ = await bob.changes()
        sent = [
            await call("messages.send", conversation=conversation, key=key(), text=str(number)) for number in range(8)
        ]
        killed.kill()
        await asyncio.to_thread(killed.start)
        async with Client(killed.ws_url, "json") as bob:
            await bob.hello(token)
            topics, _, reset = await bob.changes(cursor)
            self.assertEqual((of_conversations(topics), reset), ({f"conversation:{conversation}": 8}, False))
            page = await bob.call("messages.list", conversation=conversation, after=0)
        self.assertEqual([message["id"] for message in page["messages"]], [answer["id"] for answer in sent])


if __name__ == "__main__":
    unittest.main()
