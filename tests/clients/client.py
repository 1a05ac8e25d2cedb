"""A client of one socket, in either encoding, that keeps what it receives until somebody asks for it."""
import asyncio
import itertools
import json
import uuid

import msgpack
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed

WAIT_S = 15


def key():
    return str(uuid.uuid4())


def people(*names):
    """Names that no other test uses: each has its own throttle and its own conversations."""
    suffix = uuid.uuid4().hex[:8]
    return [f"{name}-{suffix}" for name in names]


def of_conversations(topics):
    """The conversations' logs alone: an inbox moves when a change is announced, which a crash may repeat."""
    return {topic: version for topic, version in topics.items() if topic.startswith("conversation:")}


class Client:
    """Use it with `async with`: the socket is open inside."""

    def __init__(self, url, encoding, **options):
        self.encoding = encoding
        self.connection = connect(url, subprotocols=[f"doorbell.v1.{encoding}"], **options)
        self.frames = []
        self.ids = itertools.count(1)

    async def __aenter__(self):
        self.ws = await self.connection.__aenter__()
        return self

    async def __aexit__(self, *exception):
        await self.connection.__aexit__(*exception)

    async def send(self, **frame):
        await self.ws.send(json.dumps(frame) if self.encoding == "json" else msgpack.packb(frame))

    async def hello(self, token, **fields):
        await self.send(type="hello", token=token, **fields)
        self.welcome = await self.next("welcome")
        return self.welcome

    async def next(self, kind, fits=lambda frame: True):
        """The first frame of this type, received already or still to come, for which `fits` holds."""
        for frame in self.frames:
            if frame["type"] == kind and fits(frame):
                self.frames.remove(frame)
                return frame
        async with asyncio.timeout(WAIT_S):
            while True:
                frame = self._decode(await self.ws.recv())
                if frame["type"] == kind and fits(frame):
                    return frame
                self.frames.append(frame)

    def _decode(self, data):
        if isinstance(data, str) != (self.encoding == "json"):
            raise AssertionError("the server answered in the other opcode")
        return json.loads(data) if self.encoding == "json" else msgpack.unpackb(data)

    async def hinted(self, topic, version):
        """A hint that `topic` has reached at least `version`."""
        hint = await self.next("hint", lambda frame: frame["topics"].get(topic, 0) >= version)
        return hint["topics"][topic]

    async def reply(self, method, **params):
        number = next(self.ids)
        await self.send(type="call", id=number, method=method, params=params)
        return await self.next("reply", lambda frame: frame["id"] == number)

    async def call(self, method, **params):
        """The result of a call that has to succeed."""
        reply = await self.reply(method, **params)
        if "error" in reply:
            raise AssertionError(f"{method}: {reply['error']}")
        return reply["result"]

    async def changes(self, cursor=None):
        """Everything that changed since `cursor`, all pages of it: topics, cursor, whether there was a reset."""
        topics, reset, more = {}, False, True
        while more:
            page = await self.call("topics.changes", **({} if cursor is None else {"cursor": cursor}))
            topics |= page["topics"]
            cursor, more, reset = page["cursor"], page["more"], reset or page.get("reset", False)
        return topics, cursor, reset

    async def closed(self):
        """The code and reason with which the server ended the session."""
        async with asyncio.timeout(WAIT_S):
            try:
                while True:
                    self.frames.append(self._decode(await self.ws.recv()))
            except ConnectionClosed as closed:
                return (closed.rcvd.code, closed.rcvd.reason) if closed.rcvd else (1006, "")
