"""`wss` and `https`: Python's OpenSSL and `websockets` against a certificate that is replaced under open sockets."""
import asyncio
import os
import pathlib
import shutil
import signal
import ssl
import subprocess
import sys
import tempfile
import unittest
import urllib.error
import urllib.request

from client import WAIT_S, Client, key, people
from server import Server

BOT = pathlib.Path(__file__).parents[2] / "examples" / "bot.py"


def setUpModule():
    global folder, server
    folder = pathlib.Path(tempfile.mkdtemp(prefix="doorbell-tls-"))
    make_certificate()
    files = {"CERTIFICATE_FILE": folder / "chain.pem", "KEY_FILE": folder / "key.pem"}
    server = Server(tls=trusting(), **{f"DOORBELL_TLS__{name}": str(path) for name, path in files.items()})


def tearDownModule():
    server.dispose()
    shutil.rmtree(folder)


def make_certificate():
    """A fresh pair in the place of the last one, each file whole at once."""
    extensions = ["subjectAltName=IP:127.0.0.1", "keyUsage=critical,digitalSignature,keyCertSign"]
    command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "30"]
    command += ["-subj", "/CN=doorbell", "-keyout", folder / "key.new", "-out", folder / "chain.new"]
    command += [word for extension in extensions for word in ("-addext", extension)]
    subprocess.run(command, check=True, capture_output=True)
    (folder / "key.new").chmod(0o600)
    for name in ("key", "chain"):
        (folder / f"{name}.new").replace(folder / f"{name}.pem")


def trusting():
    """What a client needs that trusts the certificate of now."""
    return ssl.create_default_context(cafile=folder / "chain.pem")


def connect(encoding, context):
    return Client(server.ws_url, encoding, ssl=context)


class Tls(unittest.IsolatedAsyncioTestCase):
    def setUp(self):
        self.assertTrue(server.ws_url.startswith("wss://"))

    async def test_hints_and_calls_over_tls_in_both_encodings(self):
        alice, bob = people("alice", "bob")
        async with connect("json", trusting()) as a, connect("msgpack", trusting()) as b:
            await a.hello(server.token(alice))
            await b.hello(server.token(bob))
            made = await a.call("conversations.create", members=[bob], key=key())
            await a.call("messages.send", conversation=made["conversation"], key=key(), text="x" * 9_000)
            await b.hinted(made["topic"], 1)
            page = await b.call("messages.list", conversation=made["conversation"], after=0)
            self.assertEqual(len(page["messages"][0]["text"]), 9_000)

    async def test_who_does_not_trust_the_certificate_or_speaks_plain_text_gets_in_nowhere(self):
        with self.assertRaises(ssl.SSLCertVerificationError):
            async with connect("json", ssl.create_default_context()):
                pass
        with self.assertRaises(urllib.error.HTTPError) as refused:
            urllib.request.urlopen(server.url.replace("https", "http") + "/readyz", timeout=20)
        self.assertEqual(refused.exception.code, 400)
        self.assertIn("wss://", refused.exception.read().decode())

    async def test_a_socket_outlives_its_certificate_and_a_new_one_sees_the_new(self):
        alice, bob = people("alice", "bob")
        async with connect("json", trusting()) as b:
            await b.hello(server.token(bob))
            make_certificate()
            renewed = trusting()
            server.process.send_signal(signal.SIGHUP)
            async with asyncio.timeout(WAIT_S):
                while not await self.is_trusted_by(renewed):
                    pass
            server.tls = renewed
            made = await asyncio.to_thread(server.call, alice, "conversations.create", members=[bob], key=key())
            sent = {"conversation": made["conversation"], "key": key(), "text": "still there?"}
            await asyncio.to_thread(lambda: server.call(alice, "messages.send", **sent))
            await b.hinted(made["topic"], 1)

    async def is_trusted_by(self, context):
        try:
            async with connect("json", context):
                return True
        except ssl.SSLCertVerificationError:
            return False

    async def test_the_bot_answers_over_tls(self):
        alice, bot = people("alice", "bot")
        async with connect("json", trusting()) as a:
            await a.hello(server.token(alice))
            command = [sys.executable, str(BOT), "--url", server.ws_url, "--state", str(folder / "bot.json")]
            environment = os.environ | {"DOORBELL_TOKEN": server.token(bot)}
            process = subprocess.Popen([*command, "--ca-file", str(folder / "chain.pem")], env=environment)
            try:
                made = await a.call("messages.send", to=bot, key=key(), text="are you there?")
                await a.hinted(f"conversation:{made['conversation']}", made["version"] + 1)
            finally:
                process.terminate()
                process.wait(WAIT_S)


if __name__ == "__main__":
    unittest.main()
