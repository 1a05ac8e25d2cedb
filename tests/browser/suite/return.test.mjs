import assert from "node:assert/strict";
import { after, afterEach, before, beforeEach, test } from "node:test";
import { Server, until } from "../../clients/server.mjs";
import { Link } from "../link.mjs";
import { Visitor, launch } from "../visitor.mjs";

let browser;
let server;
before(async () => {
  browser = await launch();
});
after(() => browser.close());
beforeEach(async () => {
  // One of the windows comes by another address than the one that the server printed.
  server = await Server.start({ DOORBELL_DEMO: "on" });
});
afterEach(() => server.dispose());

/** Ann and Ben, talking; Ben's window is reached through a link that can be cut. */
async function talking() {
  const link = await Link.to(server.url);
  const [ann, ben] = await Promise.all([
    Visitor.inside(browser, server.url, "ann"),
    Visitor.inside(browser, link.url, "ben"),
  ]);
  await ann.start(["ben"]);
  await ann.write("first");
  await ben.open("ann");
  await Promise.all([ann.sees("first"), ben.sees("first")]);
  const end = () => Promise.all([ann.leave(), ben.leave(), link.close()]);
  return { ann, ben, link, end };
}

test("a window that was cut off shows what it missed, in order", async () => {
  const { ann, ben, link, end } = await talking();
  link.cut();
  await ben.status("Reconnecting");
  for (const text of ["second", "third", "fourth"]) await ann.write(text);
  await ann.sees("first", "second", "third", "fourth");
  await ben.write("written while cut off");
  await ben.by("pending").waitFor();
  assert.deepEqual(await ben.texts(), ["first"]);
  link.mend();
  await ben.status("Live");
  const all = ["first", "second", "third", "fourth", "written while cut off"];
  await Promise.all([ann.sees(...all), ben.sees(...all)]);
  await end();
});

test("a window whose connection died without a word finds out and comes back", async () => {
  const { ann, ben, link, end } = await talking();
  link.silence();
  await ann.write("into the void");
  await ann.sees("first", "into the void");
  assert.equal(await ben.by("status-text").textContent(), "Live", "nobody told it");
  await ben.page.evaluate(() => dispatchEvent(new Event("offline")));
  await ben.status("Reconnecting");
  link.mend();
  await ben.sees("first", "into the void");
  await end();
});

test("a browser that goes offline and returns shows what it missed", async () => {
  const { ann, ben, link, end } = await talking();
  await ben.page.context().setOffline(true);
  link.cut();
  await ben.status("Reconnecting");
  await ann.write("while offline");
  link.mend();
  await ben.page.context().setOffline(false);
  await ben.sees("first", "while offline");
  await ben.status("Live");
  await end();
});

test("after kill -9 both windows come back by themselves, and nothing acknowledged is gone", async () => {
  const { ann, ben, end } = await talking();
  await ann.write("second");
  await ben.write("third");
  await Promise.all([ann, ben].map((one) => one.sees("first", "second", "third")));
  await server.kill();
  await Promise.all([ann.status("Reconnecting"), ben.status("Reconnecting")]);
  assert.equal(await ann.by("notice").isVisible(), true);
  await ann.write("while it was away");
  await ann.by("pending").waitFor();
  await server.start();
  const all = ["first", "second", "third", "while it was away"];
  await Promise.all([ann, ben].map((one) => one.sees(...all)));
  await ben.write("welcome back");
  await Promise.all([ann, ben].map((one) => one.sees(...all, "welcome back")));
  assert.equal(await ann.by("notice").isVisible(), false);
  await end();
});

test("a window loaded after a crash shows everything that was acknowledged", async () => {
  const { ann, ben, end } = await talking();
  for (const text of ["second", "third"]) await ben.write(text);
  await ann.sees("first", "second", "third");
  await server.kill();
  await server.start();
  const late = await Visitor.inside(browser, server.url, "ann");
  await late.open("ben");
  await late.sees("first", "second", "third");
  await late.leave();
  await end();
});

test("a send that was carried out and whose answer was lost counts once", async () => {
  const { ann, ben, link, end } = await talking();
  link.muffle();
  await ben.write("did you get this?");
  await ann.sees("first", "did you get this?");
  assert.deepEqual(await ben.texts(), ["first"]);
  assert.equal(await ben.by("pending").count(), 1);
  await ann.write("yes, once");
  link.mend();
  await Promise.all([ann, ben].map((one) => one.sees("first", "did you get this?", "yes, once")));
  await end();
});

test("a planned restart is announced, and the windows move on", async () => {
  const { ann, ben, end } = await talking();
  server.terminate();
  await until("the goaway", async () => (await ann.frames()).some((frame) => frame.label === "goaway"));
  await server.ended;
  await server.start();
  await Promise.all([ann.status("Live"), ben.status("Live")]);
  await ann.write("on the new one");
  await ben.sees("first", "on the new one");
  await end();
});
