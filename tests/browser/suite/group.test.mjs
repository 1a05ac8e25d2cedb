// Groups: what one page does, the other shows.
import assert from "node:assert/strict";
import { after, test } from "node:test";
import { Server, until } from "../../clients/server.mjs";
import { Visitor, launch } from "../visitor.mjs";

const server = await Server.start({ DOORBELL_MESSAGE__THROTTLE_MESSAGES: "1000" });
const browser = await launch();
after(async () => {
  await browser.close();
  await server.dispose();
});

function visit(...names) {
  return Promise.all(names.map((name) => Visitor.inside(browser, server.url, name)));
}

const members = (visitor) => visitor.by("member").evaluateAll((items) => items.map((item) => item.dataset.name));

async function hasMembers(visitor, ...wanted) {
  await until(`${visitor.name} to see ${wanted}`, async () => (await members(visitor)).join() === wanted.join());
}

test("a member who is added sees the group, and one who is removed no longer", async () => {
  const [ann, ben, cleo] = await visit("ann", "ben", "cleo");
  await ann.start(["ben", "dan"], "Friday dinner");
  await ann.write("Who else?");
  await ann.by("details-toggle").click();
  await hasMembers(ann, "ann", "ben", "dan");
  await ann.by("add").fill("cleo");
  await ann.by("add-submit").click();
  await hasMembers(ann, "ann", "ben", "cleo", "dan");
  await cleo.open("Friday dinner");
  await cleo.write("Me!");
  await ann.by("details-close").click();
  await ann.sees("Who else?", "Me!");

  await cleo.by("details-toggle").click();
  await hasMembers(cleo, "ann", "ben", "cleo", "dan");
  assert.equal(await cleo.by("member").first().locator(".tag").textContent(), "owner");
  assert.equal(await cleo.by("remove-member").filter({ visible: true }).count(), 0, "the owner alone removes");
  await ann.by("details-toggle").click();
  await ann.page.getByRole("button", { name: "Remove cleo" }).click();
  await ann.by("confirm-yes").click();
  await hasMembers(ann, "ann", "ben", "dan");
  await cleo.item("Friday dinner").waitFor({ state: "detached" });
  await until("cleo to be told", async () => (await cleo.by("toast").textContent()).includes("no longer"));
  assert.equal(await cleo.by("thread-title").isVisible(), false);
  assert.equal(await ben.item("Friday dinner").count(), 1);
  assert.deepEqual([...ann.errors, ...ben.errors, ...cleo.errors], []);
  await Promise.all([ann.leave(), ben.leave(), cleo.leave()]);
});

test("whoever leaves no longer sees the group, and the others do", async () => {
  const [eve, finn] = await visit("eve", "finn");
  await eve.start(["finn", "gus"], "Choir");
  await finn.open("Choir");
  await finn.by("details-toggle").click();
  await finn.by("leave-group").click();
  await finn.by("confirm-yes").click();
  await finn.item("Choir").waitFor({ state: "detached" });
  await eve.by("details-toggle").click();
  await hasMembers(eve, "eve", "gus");
  await Promise.all([eve.leave(), finn.leave()]);
});

test("in a closed group only the owner adds and renames", async () => {
  const [hal, ida] = await visit("hal", "ida");
  await hal.by("new-conversation").click();
  await hal.by("new-members").fill("ida, jan");
  await hal.by("new-name").fill("Board");
  await hal.by("new-closed").check();
  await hal.by("new-submit").click();
  await hal.heading("Board");
  await ida.open("Board");
  await ida.by("details-toggle").click();
  await until("the note", async () => (await ida.by("members-note").textContent()).includes("only hal"));
  assert.deepEqual([await ida.by("add").isVisible(), await ida.by("rename").isVisible()], [false, false]);
  await hal.by("details-toggle").click();
  assert.deepEqual([await hal.by("add").isVisible(), await hal.by("rename").isVisible()], [true, true]);
  await Promise.all([hal.leave(), ida.leave()]);
});

test("a new title is everybody's, a label is one's own", async () => {
  const [kim, lea] = await visit("kim", "lea");
  await kim.start(["lea", "max"], "Trip");
  await lea.open("Trip");
  await kim.by("details-toggle").click();
  await kim.by("rename").fill("Trip to the sea");
  await kim.by("rename-submit").click();
  await lea.heading("Trip to the sea");
  await lea.page.getByText("kim named the conversation “Trip to the sea”").waitFor();
  await kim.by("label").fill("<i>holiday</i>");
  await kim.by("label-submit").click();
  await until("the label", async () => (await kim.by("thread-label").textContent()) === "<i>holiday</i>");
  assert.equal(await lea.by("thread-label").isVisible(), false);
  await Promise.all([kim.leave(), lea.leave()]);
});

test("names and titles that look like markup are text", async () => {
  const odd = '<img src=x onerror="document.title=1">';
  const { conversation } = await server.call(odd, "conversations.create", { members: ["ada", "bea"], title: "<b>bold</b>", key: "c" });
  await server.call(odd, "messages.send", { conversation, key: "m", text: "<i>hello</i>", media: ["https://example.org/a?b=1"] });
  const [ada] = await visit("ada");
  await ada.open("<b>bold</b>");
  await ada.sees("<i>hello</i>");
  await ada.by("details-toggle").click();
  await hasMembers(ada, odd, "ada", "bea");
  assert.equal(await ada.page.locator("#app img, #app b, #app i:not(.typing-dots i)").count(), 0);
  const link = ada.by("message").locator(".media a");
  assert.deepEqual([await link.getAttribute("href"), await link.getAttribute("rel")], ["https://example.org/a?b=1", "noopener noreferrer"]);
  assert.deepEqual(ada.errors, []);
  await ada.leave();
});

test("what is muted does not count in the title", async () => {
  const [nat, ole, pia] = await visit("nat", "ole", "pia");
  await nat.start(["ole"]);
  await nat.write("one");
  await pia.start(["ole"]);
  await pia.write("two");
  await until("the title to count both", async () => (await ole.page.title()) === "(2) Doorbell");
  await ole.open("nat");
  await ole.by("details-toggle").click();
  await ole.by("mute").click();
  await until("the switch", async () => (await ole.by("mute").getAttribute("aria-checked")) === "true");
  await nat.write("three");
  await ole.hasUnread("nat", 1);
  await until("the title to count one", async () => (await ole.page.title()) === "(1) Doorbell");
  await ole.by("details-close").click();
  await Promise.all([nat.leave(), ole.leave(), pia.leave()]);
});
