"""The example of a back end of one's own, run for real: Flask behind Doorbell, clients in front."""
import asyncio
import importlib.util
import json
import logging
import os
import pathlib
import socket
import tempfile
import threading
import time
import unittest.mock
import urllib.request

from flask import jsonify, request
from openapi_spec_validator import OpenAPIV31SpecValidator
from werkzeug.serving import make_server

from client import Client
from server import Server, api_key

APP = pathlib.Path(__file__).parents[2] / "examples" / "own-backend" / "app.py"
SECRET = "the-secret-between-the-two"
PATIENCE_S = 20

# A line for each request is no news here.
logging.getLogger("werkzeug").setLevel(logging.ERROR)


def load(api_key):
    """The example's module, as if started with these in its environment."""
    spec = importlib.util.spec_from_file_location("own_backend", APP)
    module = importlib.util.module_from_spec(spec)
    with unittest.mock.patch.dict(os.environ, API_KEY=api_key, UPSTREAM_SECRET=SECRET):
        spec.loader.exec_module(module)
    return module


def setUpModule():
    global backend, http, server, scratch, allowed
    scratch = tempfile.TemporaryDirectory(prefix="doorbell-test-")
    keys, secret = pathlib.Path(scratch.name, "api-keys.toml"), pathlib.Path(scratch.name, "secret")
    secret.write_text(SECRET + "\n")
    secret.chmod(0o600)
    backend = load(api_key(keys, "--hints"))
    # What the example does not need: topics that some may follow.
    allowed = {}
    backend.app.post("/topics.authorize")(
        lambda: jsonify({t: v for t, v in allowed.items() if t in request.json["topics"]})
    )
    http = make_server("127.0.0.1", 0, backend.app, threaded=True)
    threading.Thread(target=http.serve_forever, daemon=True).start()
    server = Server(
        DOORBELL_UPSTREAM__URL=f"http://127.0.0.1:{http.server_port}",
        DOORBELL_UPSTREAM__SECRET_FILE=str(secret),
        DOORBELL_API_KEYS_FILE=str(keys),
        DOORBELL_GATEWAY__AUDIENCE_TIMEOUT="200ms",
        DOORBELL_GATEWAY__AUTHORIZE_INTERVAL="1s",
    )
    backend.DOORBELL = server.url


def tearDownModule():
    server.dispose()
    http.shutdown()
    http.server_close()
    scratch.cleanup()


def ring_followers(topic, version):
    """How many followers of a topic are rung."""
    hints = {"hints": [{"topic": topic, "version": version}]}
    status, answer = server.request("/v1/hints", {"Authorization": f"Bearer {backend.API_KEY}"}, hints)
    if status != 200:
        raise AssertionError(answer)
    return answer["hints"][0]["queued"]


class OwnBackend(unittest.IsolatedAsyncioTestCase):
    def test_it_is_under_eighty_lines(self):
        self.assertLess(len(APP.read_text().splitlines()), 80)

    async def test_a_note_rings_those_who_share_the_board_and_they_pull_it(self):
        for encoding in ("json", "msgpack"):
            board, bobs = f"trip-{encoding}", "bob ☺"
            async with Client(server.ws_url, encoding) as ada, Client(server.ws_url, encoding) as bob:
                await ada.hello(server.token("Zoë, 50%"))
                await bob.hello(server.token(bobs))
                _, cursor, _ = await bob.changes()

                added = await ada.call("notes.add", board=board, text="tickets", **{"with": [bobs]})

                self.assertEqual(added, {"version": 1})
                self.assertEqual(await bob.hinted(f"board:{board}", 1), 1)
                topics, _, reset = await bob.changes(cursor)
                self.assertEqual((topics, reset), ({f"board:{board}": 1}, False))
                listed = {"notes": [{"by": "Zoë, 50%", "text": "tickets"}]}
                self.assertEqual(await bob.call("notes.list", board=board), listed)
                self.assertEqual(server.call(bobs, "notes.list", board=board), listed, "the other door")

    async def test_its_refusals_and_its_resets_reach_the_client_as_they_stand(self):
        async with Client(server.ws_url, "json") as eve:
            await eve.hello(server.token("eve"))
            server.call("ada", "notes.add", board="secret", text="x")
            refused = await eve.reply("notes.list", board="secret")
            self.assertEqual(refused["error"], {"code": "not_found", "message": "no such board"})
            self.assertEqual(server.post("eve", "notes.list", board="secret"), (404, {"error": refused["error"]}))
            unknown = await eve.reply("notes.burn")
            self.assertEqual(unknown["error"]["code"], "unknown_method")
            forged = await eve.reply("topics.authorize", user="ada", topics=["board:secret"])
            self.assertEqual(forged["error"]["code"], "unknown_method")
            _, _, reset = await eve.changes("0123.7")
            self.assertTrue(reset)

    def test_what_is_malformed_is_told_as_that_and_not_to_be_repeated(self):
        cursor = server.call("ada", "topics.changes")["cursor"].partition(".")[0]
        malformed = {
            "notes.list": [{}, {"board": ["trip"]}],
            "notes.add": [{}, {"board": "trip"}, {"board": "trip", "text": 1}, {"board": "trip", "text": "", "with": "bob"}],
            "topics.changes": [{"cursor": 1}, {"cursor": f"{cursor}.x"}, {"cursor": f"{cursor}."}, {"cursor": f"{cursor}.-1"}],
        }
        for method, calls in malformed.items():
            for params in calls:
                with self.subTest(method, **params):
                    status, answer = server.post("ada", method, **params)
                    self.assertEqual((status, answer.get("error", {}).get("code")), (400, "invalid"), answer)
        self.assertEqual(server.post("ada", "topics.changes", cursor=f"{cursor}.{'9' * 5_000}")[0], 200)

    async def test_signals_and_presence_are_not_there_and_its_topics_may_be_of_any_other_kind(self):
        async with Client(server.ws_url, "json") as ada:
            await ada.hello(server.token("ada"))
            await ada.send(type="signal", topic="conversation:trip", data={"typing": True})
            self.assertEqual((await ada.next("error"))["code"], "unsupported")
            self.assertEqual((await ada.reply("status.get", users=["bob"]))["error"]["code"], "unknown_method")
            for kind, status in (("conversation", 200), ("inbox", 200), ("presence", 403)):
                hints = {"hints": [{"topic": f"{kind}:trip", "version": 1, "users": ["ada"]}]}
                key = {"Authorization": f"Bearer {backend.API_KEY}"}
                answered, answer = await asyncio.to_thread(server.request, "/v1/hints", key, hints)
                self.assertEqual(answered, status, answer)
            self.assertEqual(await ada.hinted("inbox:trip", 1), 1)
            await ada.send(type="subscribe", id=1, topics={"presence:bob": 0})
            reply = await ada.next("reply", lambda frame: frame["id"] == 1)
            self.assertEqual(reply["error"]["code"], "not_found")

    async def test_a_topic_is_followed_as_long_as_it_allows_it(self):
        allowed["news:sport"] = 7
        async with Client(server.ws_url, "json") as ada:
            await ada.hello(server.token("ada"))
            await ada.send(type="subscribe", id=1, topics={"news:sport": 7, "news:secret": 0})
            reply = await ada.next("reply", lambda frame: frame["id"] == 1)
            self.assertEqual(reply["result"], {"topics": {"news:sport": 7}, "not_found": ["news:secret"]})
            version = 8
            async with asyncio.timeout(PATIENCE_S):
                # Whom the channel service knows as a follower is told it a moment after the reply.
                while not await asyncio.to_thread(ring_followers, "news:sport", version):
                    version += 1
            self.assertGreaterEqual(await ada.hinted("news:sport", version), version)

            del allowed["news:sport"]

            async with asyncio.timeout(PATIENCE_S):
                while await asyncio.to_thread(ring_followers, "news:sport", version):
                    version += 1
            await ada.send(type="subscribe", id=2, topics={"news:sport": version})
            reply = await ada.next("reply", lambda frame: frame["id"] == 2)
            self.assertEqual(reply["error"]["code"], "not_found")

    def test_the_document_of_the_http_side_lists_no_methods_of_the_message_service(self):
        with urllib.request.urlopen(f"{server.url}/v1/openapi.json", timeout=PATIENCE_S) as response:
            document = json.load(response)
        self.assertEqual([error.message for error in OpenAPIV31SpecValidator(document).iter_errors()], [])
        self.assertIn("/v1/hints", document["paths"])
        calls = [path for path in document["paths"] if path.startswith("/v1/call/")]
        self.assertEqual(calls, ["/v1/call/{method}"])

    def test_nobody_comes_in_but_by_doorbell(self):
        answer = backend.app.test_client().post("/notes.list", json={"board": "secret"}, headers={"Doorbell-User": "ada"})
        self.assertEqual(answer.status_code, 401)

    def test_no_secret_is_in_the_log_or_the_metrics(self):
        said = "".join(server.log) + metrics(server)
        self.assertIn("upstream", said)
        for secret in (SECRET, backend.API_KEY, "tickets", "Zoë"):
            self.assertNotIn(secret, said)


def metrics(server):
    with urllib.request.urlopen(f"{server.url}/metrics", timeout=PATIENCE_S) as response:
        return response.read().decode()


class WithoutIt(unittest.IsolatedAsyncioTestCase):
    async def test_clients_hear_that_it_is_unavailable_until_it_is_back(self):
        # Bound and not listening: connections are refused.
        place = socket.socket()
        place.bind(("127.0.0.1", 0))
        lonely = Server(
            DOORBELL_UPSTREAM__URL=f"http://127.0.0.1:{place.getsockname()[1]}",
            DOORBELL_UPSTREAM__SECRET=SECRET,
            DOORBELL_UPSTREAM__BREAKER_FAILURES_MAX="2",
            DOORBELL_UPSTREAM__BREAKER_OPEN_FOR="300ms",
        )
        self.addCleanup(lonely.dispose)
        async with Client(lonely.ws_url, "json") as ada:
            await ada.hello(lonely.token("ada"))
            for user in ("bob", "eve"):
                error = (await ada.reply("topics.changes"))["error"]
                self.assertEqual(error["code"], "unavailable")
                self.assertGreater(error["retry_after_ms"], 0)
                status, body = await asyncio.to_thread(lonely.post, user, "topics.changes")
                self.assertEqual((status, body["error"]["code"]), (503, "unavailable"))
            self.assertIn("\ndoorbell_upstream_breaker_open 1\n", metrics(lonely))

            place.listen()
            back = make_server("127.0.0.1", 0, backend.app, threaded=True, fd=place.fileno())
            threading.Thread(target=back.serve_forever, daemon=True).start()
            self.addCleanup(place.close)
            self.addCleanup(back.server_close)
            self.addCleanup(back.shutdown)

            deadline = time.monotonic() + PATIENCE_S
            while (answer := lonely.post("ada", "topics.changes"))[0] != 200:
                self.assertLess(time.monotonic(), deadline, answer)
            self.assertFalse((await ada.call("topics.changes"))["more"])
            self.assertIn("\ndoorbell_upstream_breaker_open 0\n", metrics(lonely))


if __name__ == "__main__":
    unittest.main()
