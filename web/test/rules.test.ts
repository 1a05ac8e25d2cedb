import assert from "node:assert/strict";
import { test } from "node:test";
import { Acts, retryDelay } from "../src/client/acts.ts";
import type { Act } from "../src/client/acts.ts";
import { BACKOFF_BASE_MS, BACKOFF_CAP_MS, fullJitter } from "../src/client/backoff.ts";
import { CallError, Unanswered } from "../src/client/errors.ts";
import { parseFrame } from "../src/client/frames.ts";
import { newKey } from "../src/client/key.ts";
import { Pulls } from "../src/client/pulls.ts";
import { verdict } from "../src/client/verdict.ts";

test("full jitter spreads over the whole wait, which doubles up to a cap", () => {
  assert.equal(fullJitter(0, 0), 0);
  assert.equal(fullJitter(0, 0.5), BACKOFF_BASE_MS / 2);
  assert.equal(fullJitter(3, 0.5), BACKOFF_BASE_MS * 4);
  assert.equal(fullJitter(1_000, 0.999999), BACKOFF_CAP_MS - 1);
});

test("each close code has its verdict", () => {
  const back = [1000, 1001, 1006, 1011, 1012, 4408, 4429, 4500, 4503, 4999];
  for (const code of back) assert.equal(verdict(code).come, "back", String(code));
  assert.equal(verdict(4419).come, "back with a fresh token");
  const never = [1002, 1007, 1009, 4400, 4401, 4403, 4409, 4455];
  for (const code of never) assert.equal(verdict(code).come, "never", String(code));
});

test("a frame is an object with a type, and nothing else is", () => {
  assert.equal(parseFrame('{"type":"pong","more":1}')?.type, "pong");
  for (const text of ["", "{", "[]", "null", "3", '{"type":4}', "{}"]) assert.equal(parseFrame(text), null, text);
});

test("a key is a UUIDv7 of its moment", () => {
  const key = newKey(0x0123456789ab, new Uint8Array(16).fill(0xff));
  assert.equal(key, "01234567-89ab-7fff-bfff-ffffffffffff");
  assert.ok(newKey() !== newKey());
});

test("versions that are not greater change nothing", () => {
  const pulls = new Pulls();
  pulls.have("t", 5);
  pulls.ring({ t: 5 }, 0);
  pulls.ring({ t: 4 }, 0);
  assert.deepEqual(pulls.take(0), []);
  pulls.have("t", 3);
  assert.equal(pulls.holds("t"), 5);
});

test("a newer hint never moves a wait, and the pull has the greatest version", () => {
  const pulls = new Pulls();
  pulls.ring({ t: 7 }, 800);
  pulls.ring({ t: 9 }, 2_000);
  pulls.ring({ t: 8 }, 1_500);
  assert.equal(pulls.next(), 800);
  assert.deepEqual(pulls.take(799), []);
  assert.deepEqual(pulls.take(800), [{ topic: "t", after: 0, version: 9 }]);
});

test("an earlier time brings the wait forward", () => {
  const pulls = new Pulls();
  pulls.ring({ t: 7 }, 800);
  pulls.ring({ t: 8 }, 300);
  assert.equal(pulls.next(), 300);
});

test("one pull a topic at a time: what is rung meanwhile follows it", () => {
  const pulls = new Pulls();
  pulls.ring({ t: 1 }, 0);
  pulls.take(0);
  pulls.ring({ t: 2 }, 10);
  assert.deepEqual(pulls.take(50), []);
  assert.equal(pulls.next(), null);
  pulls.have("t", 1);
  pulls.finished("t", 1_000);
  assert.deepEqual(pulls.take(50), [{ topic: "t", after: 1, version: 2 }]);
});

test("a pull that did not reach its version is tried again later", () => {
  const pulls = new Pulls();
  pulls.ring({ t: 2 }, 0);
  pulls.take(0);
  pulls.finished("t", 1_000);
  assert.deepEqual(pulls.take(999), []);
  assert.equal(pulls.take(1_000).length, 1);
});

test("forgetting makes a smaller version news again", () => {
  const pulls = new Pulls();
  pulls.have("t", 90);
  pulls.forget();
  pulls.ring({ t: 2 }, 0);
  assert.deepEqual(pulls.take(0), [{ topic: "t", after: 0, version: 2 }]);
});

function act(lane: string, at = 0): Act {
  return { lane, method: "m", params: {}, attempts: 0, at, resolve() {}, reject() {} };
}

test("a lane sends one act at a time and keeps its order through a retry", () => {
  const acts = new Acts();
  const [first, second, other] = [act("a"), act("a"), act("b")];
  for (const each of [first, second, other]) acts.add(each);
  assert.deepEqual(acts.take(0), [first, other]);
  assert.deepEqual(acts.take(0), []);
  acts.retry(first, 500);
  assert.deepEqual(acts.take(499), []);
  assert.equal(acts.next(), 500);
  assert.deepEqual(acts.take(500), [first]);
  acts.settled(first);
  assert.deepEqual(acts.take(500), [second]);
});

test("an answer is final unless it names a time to try again", () => {
  const limited = new CallError({ code: "rate_limited", message: "", retry_after_ms: 700 });
  assert.equal(retryDelay(limited, 0, 0), 700);
  assert.equal(retryDelay(new CallError({ code: "conflict", message: "" }), 0, 0), null);
  assert.equal(retryDelay(new Unanswered(""), 1, 0.5), BACKOFF_BASE_MS);
});
