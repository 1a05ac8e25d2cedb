"""A bot that answers: always in a direct conversation, in a group where somebody writes @its-name. See README.md."""
import argparse, json, os, pathlib, random, re, ssl, sys, time, urllib.error, urllib.request
from contextlib import suppress
import websockets.sync.client
parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("--url", default="ws://127.0.0.1:8080/v1/ws")
parser.add_argument("--token-file", type=pathlib.Path, help="without it the token is taken from DOORBELL_TOKEN")
parser.add_argument("--state", type=pathlib.Path, default="bot.json", help="remembers how far the bot has read")
parser.add_argument("--ca-file", help="for wss:// to a server whose certificate the system does not know")
args = parser.parse_args()
tls = ssl.create_default_context(cafile=args.ca_file) if args.url.startswith("wss:") else None
class NotFound(Exception): pass  # gone, or not the bot's any more: there is nothing to answer
state = json.loads(args.state.read_text()) if args.state.exists() else {"cursor": None, "versions": {}}
def token(): return args.token_file.read_text().strip() if args.token_file else os.environ["DOORBELL_TOKEN"]
def answer(message): return f"Hello {message['from']}, you said: {message['text'][:500]}"  # put your own idea here

def call(method, **params):  # the socket rings, HTTP pulls: every method has both doors
    url = re.sub("^ws(.*)/v1/ws$", rf"http\1/v1/call/{method}", args.url)
    request = urllib.request.Request(url, json.dumps(params).encode(), {"Authorization": f"Bearer {token()}"})
    try: return json.load(urllib.request.urlopen(request, timeout=20, context=tls))
    except urllib.error.HTTPError as refusal: error = json.load(refusal)["error"]
    if error["code"] == "not_found": raise NotFound
    if error["code"] == "conflict": return None  # this key has answered before, in other words
    if "retry_after_ms" not in error: raise OSError(f"{method}: {error['message']}")  # back to the loop, cursor kept
    time.sleep(error["retry_after_ms"] / 1000)
    return call(method, **params)  # with the same key, so it counts once

def catch_up(me):
    page = call("topics.changes", cursor=state["cursor"])
    if page.get("reset"): state["versions"] = {}
    for name in (topic.partition(":")[2] for topic in page["topics"] if topic.startswith("conversation:")):
        with suppress(NotFound): read(name, me)
    state["cursor"] = page["cursor"]
    (new := args.state.with_suffix(".new")).write_text(json.dumps(state))
    new.replace(args.state)  # whole or not at all
    if page["more"]: catch_up(me)

def read(name, me):
    about = call("conversations.get", conversation=name)
    direct = about.get("title") is None and len(about["members"]) == 2
    page = call("messages.list", conversation=name, after=state["versions"].get(name, 0))
    for msg in (entry for entry in page["messages"] if entry["kind"] == "message" and entry.get("text")):
        if msg["from"] == me or "bot" in msg.get("meta", {}): continue  # two bots would go on for ever
        if direct or re.search(rf"@{re.escape(me)}\b", msg["text"]):  # the key: one answer, however often this is read
            call("messages.send", conversation=name, key=f"{name}.{msg['version']}", text=answer(msg), meta={"bot": 1})
    if page["messages"]: state["versions"][name] = page["messages"][-1]["version"]
    if page["more"]: read(name, me)

tries = 0
while True:
    try:
        with websockets.sync.client.connect(args.url, ssl=tls, subprotocols=["doorbell.v1.json"]) as ws:
            ws.send(json.dumps({"type": "hello", "token": token(), "client": "bot.py/1"}))
            me, tries = json.loads(ws.recv(20))["user"], 0  # the welcome: from now on every change is hinted
            while True:
                catch_up(me)  # and then after each hint, and once in 100 s: what was lost anywhere is found by then
                with suppress(TimeoutError): time.sleep(json.loads(ws.recv(100)).get("pull_after_ms", 0) / 1000)
    except (OSError, ValueError, websockets.WebSocketException) as problem:
        code = getattr(getattr(problem, "rcvd", None), "code", 0)
        if code in {1002, 1007, 1009, *range(4400, 4500)} - {4408, 4419, 4429}: sys.exit(f"stopped: {problem}")
    tries += 1; time.sleep(random.random() * 2 ** min(tries, 6) / 4)
