/** The golden vectors that every client of the project is held to. */
import assert from "node:assert/strict";
import { test } from "node:test";
import closeCodes from "../../protocol/vectors/close-codes.json";
import serverFrames from "../../protocol/vectors/server-frames.json";
import variants from "../../protocol/vectors/variants.json";
import { parseFrame } from "../src/client/frames.ts";
import { verdict } from "../src/client/verdict.ts";
import { NOTHING_NEW, harness, settle } from "./fakes.ts";

/** This client returns by itself from an ordinary end too: its user is still there. */
const COMES: Record<string, string> = {
  ended: "back",
  backoff: "back",
  after_goaway: "back",
  fresh_token: "back with a fresh token",
  stop: "never",
};

test("each close code has the verdict of the vectors", () => {
  for (const { number, verdict: wanted } of closeCodes.codes) {
    assert.equal(verdict(number).come, COMES[wanted], String(number));
  }
});

test("a close code that nobody knows has the verdict of its range", () => {
  const known = new Set(closeCodes.codes.map((code) => code.number));
  for (const { from, to, verdict: wanted } of closeCodes.unknown) {
    for (const code of [from, Math.floor((from + to) / 2), to]) {
      if (!known.has(code)) assert.equal(verdict(code).come, COMES[wanted], String(code));
    }
  }
});

test("each server frame is read as the object that it is", () => {
  for (const { name, json } of serverFrames) assert.deepEqual(parseFrame(json), JSON.parse(json), name);
});

test("each server frame, in each of its forms, leaves the session alive", async () => {
  const written = variants.filter((variant) => variant.from === "server").map((variant) => variant.json);
  for (const json of [...serverFrames.map((frame) => frame.json), ...written]) {
    const h = harness();
    const socket = await h.live();
    socket.deliver(JSON.parse(json ?? "") as object);
    await settle();
    await h.clock.advance(0);
    const caughtUp = socket.calls("topics.changes").length;
    if (caughtUp > 1) await socket.reply("topics.changes", NOTHING_NEW);
    assert.equal(h.state()?.name, "live", json);
  }
});

test("an error that is null is no error", async () => {
  const h = harness();
  const socket = await h.live();
  const answer = h.client.call("m", {});
  socket.deliver({ type: "reply", id: socket.calls("m")[0]?.id, result: { a: 1 }, error: null });
  assert.deepEqual(await answer, { a: 1 });
});
