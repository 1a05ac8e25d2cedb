"""A back end of your own behind Doorbell: boards of notes that several people share. See README.md."""
import hmac
import json
import os
import threading
import urllib.request
import uuid
from urllib.parse import unquote

from flask import Flask, g, jsonify, request

DOORBELL = os.environ.get("DOORBELL", "http://127.0.0.1:8080")
API_KEY = os.environ["API_KEY"]  # rings users at Doorbell
SECRET = os.environ["UPSTREAM_SECRET"]  # by which this server knows Doorbell

app = Flask(__name__)
lock = threading.Lock()
boards = {}  # name -> {"members": [...], "notes": [...], "changed": the clock at its last note}
store, clock = uuid.uuid4().hex, 0  # a real one keeps both, and the boards, in its database


def refuse(status, code, message):
    return jsonify(error={"code": code, "message": message}), status


@app.before_request
def doorbell_alone():
    """Users reach this server through Doorbell, which has checked who they are."""
    if not hmac.compare_digest(request.headers.get("Authorization", "").encode(), f"Bearer {SECRET}".encode()):
        return refuse(401, "internal", "not Doorbell's secret")
    g.user = unquote(request.headers["Doorbell-User"])


def board_of(user, name):
    return boards[name] if user in boards.get(name, {"members": []})["members"] else None


@app.post("/topics.changes")
def changes():
    """What changed for this user since the cursor. Every client asks this first, and whenever it comes back."""
    user, (known, _, seen) = g.user, (request.json.get("cursor") or "").partition(".")
    reset, after = known not in ("", store), int(seen) if known == store else 0
    with lock:
        news = {name: board for name, board in boards.items() if board["changed"] > after and user in board["members"]}
        topics = {f"board:{name}": len(board["notes"]) for name, board in news.items()}
        return jsonify(topics=topics, cursor=f"{store}.{clock}", more=False, **({"reset": True} if reset else {}))


@app.post("/notes.list")
def list_notes():
    with lock:
        board = board_of(g.user, request.json["board"])
        return jsonify(notes=board["notes"]) if board else refuse(404, "not_found", "no such board")


@app.post("/notes.add")
def add_note():
    """Adds a note, making the board where there is none, and rings those who share it."""
    global clock
    user, name, text = g.user, request.json["board"], request.json["text"]
    with lock:
        boards.setdefault(name, {"members": [user, *request.json.get("with", [])], "notes": [], "changed": 0})
        board = board_of(user, name)
        if not board:
            return refuse(404, "not_found", "no such board")
        board["notes"].append({"by": user, "text": text})
        board["changed"] = clock = clock + 1
        version = len(board["notes"])
    ring(f"board:{name}", version, board["members"])
    return jsonify(version=version)


def ring(topic, version, users):
    body = json.dumps({"hints": [{"topic": topic, "version": version, "users": users}]}).encode()
    call = urllib.request.Request(f"{DOORBELL}/v1/hints", body, {"Authorization": f"Bearer {API_KEY}"})
    try:
        urllib.request.urlopen(call, timeout=5).close()
    except OSError as error:  # the note is kept: clients find it when they next ask topics.changes
        app.logger.warning("could not ring: %s", error)
