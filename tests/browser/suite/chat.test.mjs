import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { Server, until } from "../../clients/server.mjs";
import { Visitor, launch } from "../visitor.mjs";

let server;
let browser;
before(async () => {
  server = await Server.start({ DOORBELL_MESSAGE__THROTTLE_MESSAGES: "1000" });
  browser = await launch();
});
after(async () => {
  await browser.close();
  await server.dispose();
});

/** Comes in under each name. */
function visit(...names) {
  return Promise.all(names.map((name) => Visitor.inside(browser, server.url, name)));
}

test("two people write to each other, and both see the same", async () => {
  const [ann, ben] = await visit("ann", "ben");
  await ann.start(["ben"]);
  await ann.write("Are you there?");
  await ben.open("ann");
  await ben.sees("Are you there?");
  await ben.write("Yes.");
  await ben.write("What is up?");
  await ann.sees("Are you there?", "Yes.", "What is up?");
  await ann.write("Nothing, only trying.");
  await Promise.all([ann, ben].map((one) => one.sees("Are you there?", "Yes.", "What is up?", "Nothing, only trying.")));
  const authors = await ben.by("message").evaluateAll((items) => items.map((item) => item.dataset.from));
  assert.deepEqual(authors, ["ann", "ben", "ben", "ann"]);
  assert.deepEqual([...ann.errors, ...ben.errors], []);
  await Promise.all([ann.leave(), ben.leave()]);
});

test("unread messages are counted until they are read, in every window of their reader", async () => {
  const [cleo, desk, phone] = await visit("cleo", "dan", "dan");
  await cleo.start(["dan"]);
  for (const text of ["one", "two", "three"]) await cleo.write(text);
  await Promise.all([desk.hasUnread("cleo", 3), phone.hasUnread("cleo", 3)]);
  await until("the title to count", async () => (await desk.page.title()) === "(3) Doorbell");
  assert.equal(await desk.item("cleo").locator(".item-last").textContent(), "three");

  await desk.open("cleo");
  await desk.sees("one", "two", "three");
  await Promise.all([desk.hasUnread("cleo", 0), phone.hasUnread("cleo", 0)]);
  await until("the title to stop counting", async () => (await phone.page.title()) === "Doorbell");
  assert.equal(await cleo.unread("dan"), 0, "one's own messages are never unread");
  await Promise.all([cleo.leave(), desk.leave(), phone.leave()]);
});

test("in a group everybody sees everybody, under the title", async () => {
  const [eve, finn, gus] = await visit("eve", "finn", "gus");
  await eve.start(["finn", "gus"], "Friday dinner");
  await eve.write("At seven?");
  await Promise.all([finn.open("Friday dinner"), gus.open("Friday dinner")]);
  await finn.sees("At seven?");
  await finn.write("Fine.");
  await gus.sees("At seven?", "Fine.");
  await until("the members", async () => (await gus.by("thread-members").textContent()).endsWith("eve, finn, gus"));
  assert.deepEqual(await gus.by("message").locator(".author").allTextContents(), ["eve", "finn"]);
  await Promise.all([eve.leave(), finn.leave(), gus.leave()]);
});

test("a pair has one conversation, whoever starts it", async () => {
  const [hal, ida] = await visit("hal", "ida");
  await hal.start(["ida"]);
  await hal.write("first");
  await ida.start(["hal"]);
  await ida.sees("first");
  assert.equal(await ida.by("conversation").count(), 1);
  await Promise.all([hal.leave(), ida.leave()]);
});

test("what looks like markup is text, and a link is a link", async () => {
  const [jan, kim] = await visit("jan", "kim");
  const markup = '<img src=x onerror="document.title=1"><b>bold</b>';
  await jan.start(["kim"], "");
  await jan.write(markup);
  await jan.write("see https://example.org/a.");
  await kim.open("jan");
  await kim.sees(markup, "see https://example.org/a.");
  assert.equal(await kim.by("messages").locator("img, b").count(), 0);
  const link = kim.by("messages").locator("a");
  assert.equal(await link.getAttribute("href"), "https://example.org/a");
  assert.equal(await link.getAttribute("rel"), "noopener noreferrer");
  assert.deepEqual(kim.errors, []);
  await Promise.all([jan.leave(), kim.leave()]);
});

test("older messages come as one scrolls up, and nothing jumps", async () => {
  const { conversation } = await server.call("lea", "conversations.create", { members: ["max"], key: "c" });
  const wanted = Array.from({ length: 130 }, (_, i) => `line ${i + 1}`);
  for (const text of wanted) await server.call("max", "messages.send", { conversation, key: text.replace(" ", "-"), text });
  const [lea] = await visit("lea");
  await lea.open("max");
  await until("the newest page", async () => (await lea.texts()).at(-1) === "line 130");
  await lea.by("messages").evaluate((box) => (box.scrollTop = 0));
  await until("an older page", async () => (await lea.texts()).length > 60);
  const place = await lea.page.locator('[data-version="81"]').evaluate((row) => row.getBoundingClientRect().top);
  assert.ok(place > 0 && place < 400, `what was on top is still in view, at ${place}`);
  const all = async () => {
    await lea.by("messages").evaluate((box) => (box.scrollTop = 0));
    return (await lea.texts()).length === 130;
  };
  await until("the beginning", all);
  assert.deepEqual(await lea.texts(), wanted);
  await lea.leave();
});

test("a message beyond the limit stays in the field, with the count", async () => {
  const [nat] = await visit("nat");
  await nat.start(["ole"]);
  await nat.write("x".repeat(10_001));
  assert.equal(await nat.page.locator("#draft-left").textContent(), "1 too many");
  assert.equal(await nat.by("pending").count(), 0);
  await nat.write("x".repeat(10_000));
  await nat.sees("x".repeat(10_000));
  await nat.leave();
});

test("a reloaded tab goes on under its name, and leaving shows the door", async () => {
  const [pia] = await visit("pia");
  await pia.start(["quin"]);
  await pia.page.reload();
  await pia.status("Live");
  assert.equal(await pia.by("me").textContent(), "pia");
  await pia.item("quin").waitFor();
  await pia.by("leave").click();
  await pia.by("landing").waitFor();
  await pia.page.reload();
  await pia.by("landing").waitFor();
  assert.deepEqual(pia.errors, []);
  await pia.leave();
});

test("where a name is not enough, a pasted token is", async (t) => {
  const closed = await Server.start({ DOORBELL_DEMO: "off" });
  t.after(() => closed.dispose());
  const rob = await Visitor.at(browser, closed.url, "rob");
  await rob.by("name-input").fill("rob");
  await rob.by("name-submit").click();
  await rob.by("token-input").fill(closed.token("rob"));
  await rob.by("token-input").press("Enter");
  await rob.status("Live");
  assert.equal(await rob.by("me").textContent(), "rob");
  await rob.page.reload();
  await rob.by("landing").waitFor();
  await rob.by("use-token").click();
  await rob.by("token-input").fill("nonsense");
  await rob.by("token-input").press("Enter");
  await until("the refusal", async () => (await rob.by("landing-error").textContent()).includes("token"));
  await rob.leave();
});

test("a pasted token that ends brings the reader back to the door, with the reason", async () => {
  const sam = await Visitor.at(browser, server.url, "sam");
  await sam.by("use-token").click();
  await sam.by("token-input").fill(server.shortToken("sam", "5s"));
  await sam.by("token-input").press("Enter");
  await sam.status("Live");
  await sam.by("landing").waitFor();
  assert.match(await sam.by("landing-error").textContent(), /expired/);
  await sam.leave();
});

test("a name that the server refuses is said at the door", async () => {
  const guest = await Visitor.at(browser, server.url, "guest");
  await guest.by("name-input").evaluate((field) => (field.value = "x".repeat(200)));
  await guest.by("name-submit").click();
  await until("the refusal", async () => (await guest.by("landing-error").textContent()).length > 0);
  assert.equal(await guest.by("app").isVisible(), false);
  await guest.leave();
});
