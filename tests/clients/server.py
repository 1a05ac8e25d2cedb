"""The real server, for tests: started on a free port with a data directory of its own, and ended by its own pid."""
import json
import os
import re
import shutil
import signal
import subprocess
import tempfile
import threading
import urllib.error
import urllib.request

READY = re.compile(r"^doorbell ready on (https?://\S+)$")
START_S = 30
END_S = 30
# These clients stay to the end of a drain, and a test need not wait long for it.
SETTINGS = {"DOORBELL_SHUTDOWN__MOVE_BUDGET": "2s"}


def binary():
    path = os.environ.get("DOORBELL_BIN")
    if not path:
        raise RuntimeError("DOORBELL_BIN must name the doorbell binary")
    return path


def api_key(path, *rights):
    """An API key with these rights, its file written to `path`."""
    made = subprocess.run([binary(), "api-key", "test", *rights], check=True, capture_output=True, text=True)
    path.write_text(made.stderr)
    path.chmod(0o600)
    return made.stdout.strip()


class Server:
    def __init__(self, tls=None, **settings):
        """Started with these configuration keys in its environment. `tls` is the context of a client that trusts its
        certificate, where the settings name one."""
        self.settings, self.tls = SETTINGS | settings, tls
        self.data_dir = tempfile.mkdtemp(prefix="doorbell-test-")
        self.port = 0
        self.tokens = {}
        self.start()

    def start(self):
        """Starts it, the second time on the port that it had."""
        command = [binary(), "serve", "--listen", f"127.0.0.1:{self.port}", "--data-dir", self.data_dir]
        self.log = []
        self.process = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=os.environ | self.settings
        )
        threading.Thread(target=self._drain, args=(self.process.stderr,), daemon=True).start()
        too_late = threading.Timer(START_S, self.process.kill)
        too_late.start()
        found = next(filter(None, map(READY.match, self.process.stdout)), None)
        too_late.cancel()
        if found is None:
            raise RuntimeError(f"the server ended with {self.process.wait()}:\n" + "".join(self.log))
        threading.Thread(target=self._drain, args=(self.process.stdout,), daemon=True).start()
        self.url = found[1]
        self.port = int(self.url.rpartition(":")[2])

    def _drain(self, stream):
        self.log.extend(stream)
        stream.close()

    @property
    def ws_url(self):
        return self.url.replace("http", "ws", 1) + "/v1/ws"

    def token(self, user):
        """A token made by the binary's own command, beside the running server."""
        if user not in self.tokens:
            command = [binary(), "token", user, "--data-dir", self.data_dir]
            self.tokens[user] = subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()
        return self.tokens[user]

    def post(self, user, method, **params):
        """One call over HTTP: the status, and the result or the body of the error."""
        return self.request(f"/v1/call/{method}", {"Authorization": f"Bearer {self.token(user)}"}, params)

    def request(self, path, headers, body):
        """One POST of JSON: the status, and the answer."""
        headers = headers | {"Content-Type": "application/json"}
        request = urllib.request.Request(self.url + path, json.dumps(body).encode(), headers)
        try:
            with urllib.request.urlopen(request, timeout=20, context=self.tls) as response:
                return response.status, json.load(response)
        except urllib.error.HTTPError as error:
            with error:
                return error.code, json.load(error)

    def call(self, user, method, **params):
        """One call over HTTP that has to succeed."""
        status, body = self.post(user, method, **params)
        if status != 200:
            raise RuntimeError(f"{method} for {user}: {status} {body}")
        return body

    def kill(self):
        """As a crash would: no warning, nothing written down."""
        self.process.kill()
        self.process.wait(END_S)

    def terminate(self):
        """Asks it to end in order."""
        self.process.send_signal(signal.SIGTERM)

    def dispose(self):
        """Ends it whatever state it is in, and removes its data."""
        if self.process.poll() is None:
            self.terminate()
            try:
                self.process.wait(END_S)
            except subprocess.TimeoutExpired:
                self.kill()
        shutil.rmtree(self.data_dir, ignore_errors=True)
