// Messages that change: what one page does, the other shows.
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

/** The whole page's text, with what the panel and the screen reader have. */
const everything = (visitor) => visitor.page.evaluate(() => document.documentElement.outerHTML);

test("an edit is seen on the other side, with a mark", async () => {
  const [quin, rob] = await visit("quin", "rob");
  await quin.start(["rob"]);
  await quin.write("see you at sevn");
  await rob.open("quin");
  await rob.sees("see you at sevn");
  await quin.page.locator(".row.mine").hover();
  await quin.by("message-actions").click();
  await quin.by("menu-edit").click();
  await quin.by("draft").fill("see you at seven");
  await quin.by("draft").press("Enter");
  await Promise.all([quin, rob].map((one) => one.sees("see you at seven")));
  await until("the mark", async () => (await rob.by("message").locator("time").textContent()).startsWith("edited"));
  assert.equal(await rob.item("quin").locator(".item-last").textContent(), "see you at seven");
  assert.equal(await rob.by("message-actions").filter({ visible: true }).count(), 0, "nobody changes what another wrote");
  await rob.page.reload();
  await rob.status("Live");
  await rob.open("quin");
  await rob.sees("see you at seven");
  await Promise.all([quin.leave(), rob.leave()]);
});

test("a deleted message stays as an entry, and what it said is nowhere in either page", async () => {
  const [sam, tia] = await visit("sam", "tia");
  await sam.start(["tia"]);
  await sam.write("hello");
  await tia.open("sam");
  await tia.sees("hello");
  await sam.write("swordfish-1");
  await tia.sees("hello", "swordfish-1");
  await tia.page.getByTestId("frame").last().locator("summary").click();
  await sam.by("draft").press("ArrowUp");
  await sam.by("draft").fill("swordfish-2");
  await sam.by("draft").press("Enter");
  await tia.sees("hello", "swordfish-2");
  assert.ok((await everything(tia)).includes("swordfish"));

  await sam.page.locator(".row.mine").last().hover();
  await sam.by("message-actions").last().click();
  await sam.by("menu-delete").click();
  await sam.by("confirm-yes").click();
  await Promise.all([sam, tia].map((one) => one.sees("hello", "Message deleted")));
  for (const one of [sam, tia]) {
    await until(`${one.name} to forget`, async () => !(await everything(one)).includes("swordfish"));
  }
  assert.deepEqual([...sam.errors, ...tia.errors], []);
  await Promise.all([sam.leave(), tia.leave()]);
});

test("the owner of a group may delete what others wrote", async () => {
  const [uma, vic] = await visit("uma", "vic");
  await uma.start(["vic", "wes"], "Rules");
  await vic.open("Rules");
  await vic.write("nonsense");
  await uma.sees("nonsense");
  await uma.page.locator(".row").last().hover();
  await uma.by("message-actions").click();
  await uma.by("menu-delete").click();
  await uma.by("confirm-yes").click();
  await vic.sees("Message deleted");
  await Promise.all([uma.leave(), vic.leave()]);
});

test("a message is changed and deleted from the keyboard alone", async () => {
  const [xia] = await visit("xia");
  const { keyboard } = xia.page;
  const focused = () => xia.page.evaluate(() => document.activeElement?.dataset.testid ?? document.activeElement?.id ?? "");
  const reach = (testId, key = "Tab") =>
    until(`the focus on ${testId}`, async () => {
      if ((await focused()) === testId) return true;
      await keyboard.press(key);
      return false;
    });
  await xia.start(["yan"]);
  for (const text of ["one", "two", "three"]) await xia.write(text);
  await xia.sees("one", "two", "three");
  await xia.by("draft").focus();
  await keyboard.press("ArrowUp");
  await keyboard.type("!");
  await keyboard.press("Enter");
  await xia.sees("one", "two", "three!");
  await reach("message-actions", "Shift+Tab");
  await keyboard.press("ArrowUp");
  await keyboard.press("Enter");
  await reach("menu-edit", "ArrowDown");
  await keyboard.press("ArrowDown");
  assert.equal(await focused(), "menu-delete");
  await keyboard.press("Escape");
  await until("the focus back", async () => (await focused()) === "message-actions");
  await keyboard.press("Enter");
  await keyboard.press("ArrowDown");
  await keyboard.press("Enter");
  await xia.by("confirm").waitFor();
  await reach("confirm-yes");
  await keyboard.press("Enter");
  await xia.sees("one", "Message deleted", "three!");
  await reach("details-toggle", "Shift+Tab");
  await keyboard.press("Enter");
  await until("the details", async () => (await focused()) === "details-title");
  await reach("mute");
  await keyboard.press("Space");
  await until("the switch", async () => (await xia.by("mute").getAttribute("aria-checked")) === "true");
  await keyboard.press("Escape");
  assert.equal(await focused(), "details-toggle");
  await xia.leave();
});
