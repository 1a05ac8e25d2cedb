"""A back end of your own behind Doorbell: boards of notes that several people share. See README.md."""
import hmac
import os
import threading
import urllib.request

from flask import Flask, abort, g, jsonify, make_response, request

DOORBELL = os.environ.get("DOORBELL", "http://127.0.0.1:8080")
API_KEY = os.environ["API_KEY"]  # rings users at Doorbell
SECRET = os.environ["UPSTREAM_SECRET"]  # by which this server knows Doorbell

app = Flask(__name__)
lock = threading.Lock()
boards = {}  # name -> {"members": [...], "notes": [...], "changed": the clock at its last note}
store, clock = os.urandom(16).hex(), 0  # a real one keeps both, and the boards, in its database


def refuse(status, code, message):
    abort(make_response(jsonify(error={"code": code, "message": message}), status))


def given(name, kind=str, otherwise=None):  # what is malformed is `invalid`: a 500 would be repeated for ever
    value = request.json.get(name, otherwise)
    return value if isinstance(value, kind) else refuse(400, "invalid", f"{name} must be a {kind.__name__}")


@app.before_request
def doorbell_alone():
    """Users reach this server through Doorbell, which has checked who they are."""
    if not hmac.compare_digest(request.headers.get("Authorization", "").encode(), f"Bearer {SECRET}".encode()):
        refuse(401, "internal", "not Doorbell's secret")
    g.user = urllib.parse.unquote(request.headers["Doorbell-User"])


def board_of(name):
    return boards[name] if g.user in boards.get(name, {}).get("members", ()) else refuse(404, "not_found", "no such board")


@app.post("/topics.changes")
def changes():
    """What changed for this user since the cursor. Every client asks this first, and whenever it comes back."""
    known, _, seen = given("cursor", str, "").partition(".")
    after = 0 if known != store else int(seen[:20]) if seen.isdecimal() else refuse(400, "invalid", "cursor is none")
    reset = {"reset": True} if known not in ("", store) else {}
    with lock:
        mine = {name: board for name, board in boards.items() if g.user in board["members"]}
        topics = {f"board:{name}": len(board["notes"]) for name, board in mine.items() if board["changed"] > after}
        return jsonify(topics=topics, cursor=f"{store}.{clock}", more=False, **reset)


@app.post("/notes.list")
def list_notes():
    with lock:
        return jsonify(notes=board_of(given("board"))["notes"])


@app.post("/notes.add")
def add_note():
    """Adds a note, making the board where there is none, and rings those who share it."""
    global clock
    name, text, others = given("board"), given("text"), given("with", list, [])
    with lock:
        boards.setdefault(name, {"members": [g.user, *others], "notes": [], "changed": 0})
        board = board_of(name)
        board["notes"].append({"by": g.user, "text": text})
        board["changed"] = clock = clock + 1
        version = len(board["notes"])
    ring(f"board:{name}", version, board["members"])
    return jsonify(version=version)


def ring(topic, version, users):
    body = app.json.dumps({"hints": [{"topic": topic, "version": version, "users": users}]}).encode()
    call = urllib.request.Request(f"{DOORBELL}/v1/hints", body, {"Authorization": f"Bearer {API_KEY}"})
    try:
        urllib.request.urlopen(call, timeout=5).close()
    except OSError as error:  # the note is kept: clients find it when they next ask topics.changes
        app.logger.warning("could not ring: %s", error)
