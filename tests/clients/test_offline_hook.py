"""The offline hook, heard by a stranger: deliveries checked with the code that docs/http-api.md gives to receivers."""
import http.server
import json
import pathlib
import queue
import re
import threading
import unittest

from server import Server

PAGE = pathlib.Path(__file__).parents[2] / "docs" / "http-api.md"
SECRET = "a secret of some length"
PATIENCE_S = 20


def documented():
    """The function of the page that checks a signature."""
    code = re.search(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL)[1]
    names = {}
    exec(code, names)
    return names["is_ours"]


class Receiver:
    """Keeps whom each delivery names, with their topics; refuses the first so many, as a receiver that starts."""

    def __init__(self, refuses):
        is_ours, reports, refused = documented(), queue.Queue(), {}

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self):
                body = self.rfile.read(int(self.headers["Content-Length"]))
                signature, report = self.headers["Doorbell-Signature"], json.loads(body)
                genuine = is_ours(SECRET, signature, body)
                forged = is_ours("another secret", signature, body) or is_ours(SECRET, signature, body + b" ")
                if not genuine or forged or self.headers["Doorbell-Delivery"] != report["delivery"]:
                    reports.put(AssertionError(f"{signature} {body}"))
                if len(refused) < refuses:
                    refused[report["delivery"]] = report
                    return self.answer(503)
                if refused.get(report["delivery"], report) != report:
                    reports.put(AssertionError(f"{report} after {refused}"))
                reports.put({user["user"]: user["topics"] for user in report["users"]})
                self.answer(204)

            def answer(self, status):
                self.send_response(status)
                self.end_headers()

            def log_message(self, *_):
                pass

        self.reports = reports
        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/hook"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def next(self):
        report = self.reports.get(timeout=PATIENCE_S)
        if isinstance(report, AssertionError):
            raise report
        return report

    def close(self):
        self.server.shutdown()
        self.server.server_close()


class OfflineHook(unittest.TestCase):
    def start(self, refuses, **settings):
        self.receiver = Receiver(refuses)
        self.addCleanup(self.receiver.close)
        self.server = Server(
            DOORBELL_OFFLINE_HOOK__URL=self.receiver.url,
            DOORBELL_OFFLINE_HOOK__SECRET=SECRET,
            DOORBELL_OFFLINE_HOOK__RETRY_MIN="10ms",
            **settings,
        )
        self.addCleanup(self.server.dispose)

    def send(self, sender, to, key):
        sent = self.server.call(sender, "messages.send", to=to, key=key, text="the words")
        return f"conversation:{sent['conversation']}"

    def test_who_had_no_session_is_reported_but_not_with_what_they_have_muted(self):
        self.start(1, DOORBELL_OFFLINE_HOOK__WINDOW="50ms")
        quiet = self.send("eve", "bob", "1")
        self.server.call("bob", "conversations.update", conversation=quiet.partition(":")[2], muted=True)
        self.send("eve", "bob", "2")
        loud = self.send("ada", "bob", "3")

        topics = {}
        while not topics.keys() >= {loud, "inbox:bob"}:
            report = self.receiver.next()
            self.assertNotIn("the words", json.dumps(report))
            topics |= report.get("bob", {})

        self.assertEqual(topics[loud], 1)
        self.assertLess(topics.get(quiet, 0), 2)

    def test_what_waits_at_the_end_of_the_process_is_reported_before_it(self):
        self.start(0, DOORBELL_OFFLINE_HOOK__WINDOW="1h", DOORBELL_OFFLINE_HOOK__AGE_MAX="2h")
        topic = self.send("ada", "bob", "1")

        self.server.terminate()

        self.assertEqual(self.receiver.next()["bob"][topic], 1)
        self.assertEqual(self.server.process.wait(PATIENCE_S), 0)


if __name__ == "__main__":
    unittest.main()
