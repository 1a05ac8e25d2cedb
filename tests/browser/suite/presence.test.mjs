// Who is there, and who writes.
import assert from "node:assert/strict";
import { after, test } from "node:test";
import { Server, until } from "../../clients/server.mjs";
import { Visitor, launch } from "../visitor.mjs";

const server = await Server.start({ DOORBELL_GATEWAY__PRESENCE_GRACE: "500ms" });
const browser = await launch();
after(async () => {
  await browser.close();
  await server.dispose();
});

function visit(...names) {
  return Promise.all(names.map((name) => Visitor.inside(browser, server.url, name)));
}

const dot = (visitor, name) => visitor.item(name).locator(".presence");

async function seesThere(visitor, name, presence) {
  await until(`${visitor.name} to see ${name} ${presence}`, async () => (await dot(visitor, name).getAttribute("data-presence")) === presence);
}

test("coming and going is seen", async () => {
  const [ann, ben] = await visit("ann", "ben");
  await ann.start(["ben"]);
  await seesThere(ann, "ben", "online");
  await until("the words", async () => (await ann.by("thread-members").textContent()) === "Online");
  await ben.leave();
  await seesThere(ann, "ben", "offline");
  await until("when", async () => (await ann.by("thread-members").textContent()).startsWith("Last seen"));
  const back = await Visitor.inside(browser, server.url, "ben");
  await seesThere(ann, "ben", "online");
  assert.deepEqual(ann.errors, []);
  await Promise.all([ann.leave(), back.leave()]);
});

test("a status by hand is seen with its words, and invisible looks like away from home", async () => {
  const [cleo, dan] = await visit("cleo", "dan");
  await cleo.start(["dan"]);
  await seesThere(cleo, "dan", "online");
  const set = async (state, text) => {
    await dan.by("my-status").click();
    await dan.page.locator(`input[name="state"][value="${state}"]`).check();
    await dan.by("status-words").fill(text);
    await dan.by("status-save").click();
    await dan.by("status-menu").waitFor({ state: "hidden" });
  };
  await set("busy", "in a <b>meeting</b>");
  await seesThere(cleo, "dan", "busy");
  await until("the words", async () => (await cleo.by("thread-members").textContent()) === "Busy, in a <b>meeting</b>");
  await set("away", "");
  await seesThere(cleo, "dan", "away");
  await set("invisible", "");
  await seesThere(cleo, "dan", "offline");
  assert.equal(await dan.by("my-status-text").textContent(), "Invisible");
  await set("auto", "");
  await seesThere(cleo, "dan", "online");
  await Promise.all([cleo.leave(), dan.leave()]);
});

test("in a group one sees how many are there", async () => {
  const [eve, finn] = await visit("eve", "finn");
  await eve.start(["finn", "gus"], "Band");
  await until("two of three", async () => (await eve.by("thread-members").textContent()).startsWith("2 online"));
  await finn.leave();
  await until("one of three", async () => (await eve.by("thread-members").textContent()).startsWith("1 online"));
  await eve.leave();
});

test("typing is shown for a while, moves nothing, and ends with the message", async () => {
  const [hal, ida] = await visit("hal", "ida");
  await hal.start(["ida"]);
  await hal.write("hello");
  await ida.open("hal");
  await ida.sees("hello");
  const place = () => ida.by("draft").evaluate((draft) => draft.getBoundingClientRect().top);
  const before = await place();
  await hal.by("draft").pressSequentially("so it goes", { delay: 250 });
  await until("it to be shown", async () => (await ida.by("typing").textContent()) === "hal is typing");
  assert.equal(await place(), before);
  assert.equal(await ida.item("hal").locator(".item-last").textContent(), "typing…");
  await hal.by("draft").press("Enter");
  await ida.sees("hello", "so it goes");
  await until("it to end", async () => (await ida.by("typing").getAttribute("data-shown")) === "false");
  await hal.by("draft").pressSequentially("and then nothing", { delay: 200 });
  await until("it to be shown again", async () => (await ida.by("typing").getAttribute("data-shown")) === "true");
  await until("it to pass", async () => (await ida.by("typing").getAttribute("data-shown")) === "false");
  const signals = (await hal.frames()).filter((frame) => frame.label === "signal");
  assert.ok(signals.length >= 2 && signals.length <= 4, `${signals.length} signals`);
  assert.deepEqual([...hal.errors, ...ida.errors], []);
  await Promise.all([hal.leave(), ida.leave()]);
});

test("a page that comes back follows again", async () => {
  const [jan, kim] = await visit("jan", "kim");
  await jan.start(["kim"]);
  await seesThere(jan, "kim", "online");
  await server.kill();
  await jan.status("Reconnecting");
  await server.start();
  await Promise.all([jan.status("Live"), kim.status("Live")]);
  await kim.leave();
  await seesThere(jan, "kim", "offline");
  await jan.leave();
});

test("who left while the server was away is seen to be gone", async () => {
  const [lea, max] = await visit("lea", "max");
  await lea.start(["max"]);
  await seesThere(lea, "max", "online");
  await server.kill();
  await max.leave();
  await server.start();
  await lea.status("Live");
  await seesThere(lea, "max", "offline");
  await lea.leave();
});
