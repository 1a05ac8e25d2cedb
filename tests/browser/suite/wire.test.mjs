import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { Server, until } from "../../clients/server.mjs";
import { Visitor, launch } from "../visitor.mjs";

let server;
let browser;
before(async () => {
  server = await Server.start();
  browser = await launch();
});
after(async () => {
  await browser.close();
  await server.dispose();
});

test("the panel shows the first seconds of a session, and no token", async () => {
  const ann = await Visitor.inside(browser, server.url, "ann");
  await until("the list", async () => (await ann.frames()).some((frame) => frame.label === "conversations.list ✓"));
  // Whether the server knows who is there is asked at some moment of these seconds.
  const frames = (await ann.frames()).filter((frame) => !frame.label.includes("status.get"));
  const labels = frames.map((frame) => `${frame.direction} ${frame.label}`);
  assert.deepEqual(labels.slice(0, 6), [
    "sent hello",
    "received welcome",
    "sent topics.changes",
    "received topics.changes ✓",
    "sent conversations.list",
    "received conversations.list ✓",
  ]);
  const hello = ann.by("frame").first();
  await hello.locator("summary").click();
  const full = await hello.locator("pre").textContent();
  assert.equal(JSON.parse(full).token, "…");
  await ann.leave();
});

test("a message is a hint, then a pull: the hint has no content, the pull has", async () => {
  const [cleo, dan] = await Promise.all(["cleo", "dan"].map((name) => Visitor.inside(browser, server.url, name)));
  await cleo.start(["dan"]);
  await cleo.write("to open it");
  await dan.open("cleo");
  await dan.sees("to open it");
  await dan.hasUnread("cleo", 0);
  await dan.page.locator("#wire-clear").click();
  await cleo.write("a secret");
  await dan.sees("to open it", "a secret");

  const frames = await dan.frames();
  const hint = frames.findIndex((frame) => frame.label === "hint" && frame.text.includes("conversation"));
  const pull = frames.findIndex((frame) => frame.label === "messages.list");
  const answer = frames.findIndex((frame) => frame.label === "messages.list ✓");
  assert.ok(hint >= 0 && hint < pull && pull < answer, JSON.stringify(frames.map((frame) => frame.label)));
  assert.deepEqual([frames[hint].direction, frames[pull].direction, frames[answer].direction], ["received", "sent", "received"]);
  assert.deepEqual([hint, pull, answer].map((at) => frames[at].tied), [true, true, true]);
  assert.deepEqual([frames[hint].kind, frames[pull].kind, frames[answer].kind], ["hint", "pull", "pull"]);
  assert.ok(frames[hint].text.includes("has reached 2"));
  assert.ok(frames[pull].text.includes('"after":1'));
  assert.ok(!frames[hint].text.includes("a secret"));
  const opened = dan.by("frame").nth(answer);
  await opened.locator("summary").click();
  assert.ok((await opened.locator("pre").textContent()).includes("a secret"));
  await Promise.all([cleo.leave(), dan.leave()]);
});

test("one's own message is acknowledged and not pulled again", async () => {
  const eve = await Visitor.inside(browser, server.url, "eve");
  await eve.start(["finn"]);
  await eve.page.locator("#wire-clear").click();
  await eve.write("mine");
  await eve.sees("mine");
  await until("the hint", async () => (await eve.frames()).some((frame) => frame.label === "hint"));
  const kinds = (await eve.frames()).map((frame) => frame.label);
  assert.ok(kinds.includes("messages.send") && kinds.includes("messages.send ✓"));
  await eve.leave();
});

test("the page has no word for the console", async () => {
  const gus = await Visitor.inside(browser, server.url, "gus");
  assert.deepEqual(gus.errors, []);
  await gus.leave();
});
