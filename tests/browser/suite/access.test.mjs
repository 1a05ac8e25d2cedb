// The page as axe sees it, in the light and in the dark, at a desk and on a phone.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { after, before, test } from "node:test";
import { Server, until } from "../../clients/server.mjs";
import { Visitor, launch } from "../visitor.mjs";

const AXE = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");
const TAGS = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"];
const PHONE = { viewport: { width: 375, height: 740 }, hasTouch: true, isMobile: true };
const SIZES = { desk: { viewport: { width: 1360, height: 820 } }, phone: PHONE };

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

/** Fails where axe finds something that keeps people out, or where the page is wider than its window. */
async function sound(visitor, where) {
  if (!(await visitor.page.evaluate(() => "axe" in window))) await visitor.page.evaluate(AXE);
  // A colour on its way from one to another is none of the two.
  await until("the page to be still", () => visitor.page.evaluate(() => document.getAnimations().every((one) => one.effect.getTiming().iterations === Infinity)));
  const found = await visitor.page.evaluate(async (tags) => {
    const { violations } = await window.axe.run(document, { runOnly: tags, resultTypes: ["violations"] });
    const serious = violations.filter(({ impact }) => impact === "serious" || impact === "critical");
    return serious.map(({ id, nodes }) => `${id}: ${nodes.map((node) => node.html).join(" ").slice(0, 400)}`);
  }, TAGS);
  assert.deepEqual(found, [], where);
  const [page, window] = await visitor.page.evaluate(() => [document.documentElement.scrollWidth, innerWidth]);
  assert.ok(page <= window, `${where}: ${page} px in a window of ${window}`);
}

/** Clicks where the server offers what is behind; an older one hides it. */
async function offered(visitor, testId) {
  if (!(await visitor.by(testId).isVisible())) return false;
  await visitor.by(testId).click();
  return true;
}

for (const colorScheme of ["light", "dark"]) {
  for (const [size, options] of Object.entries(SIZES)) {
    test(`nobody is kept out: ${colorScheme}, ${size}`, async () => {
      const [me, other] = [`ann-${colorScheme}-${size}`, `ben-${colorScheme}-${size}`];
      const conversation = (await server.call(other, "conversations.create", { members: [me, "cleo"], title: "Dinner", key: "c" })).conversation;
      await server.call(other, "messages.send", { conversation, key: "m", text: "see https://example.org", media: ["https://example.org/menu"] });
      const ann = await Visitor.at(browser, server.url, me, { colorScheme, ...options });
      await sound(ann, "the door");
      await ann.by("name-input").fill(me);
      await ann.by("name-submit").click();
      await ann.status("Live");
      await ann.item("Dinner").waitFor();
      await sound(ann, "the list");
      await ann.open("Dinner");
      await ann.write("fine");
      await until("the message", async () => (await ann.texts()).length === 2);
      await sound(ann, "the conversation");
      await inside(ann);
      assert.deepEqual(ann.errors, []);
      await ann.leave();
    });
  }
}

/** Everything that opens. */
async function inside(ann) {
  if (await offered(ann, "details-toggle")) {
    await sound(ann, "the details");
    await ann.by((await ann.by("back").isVisible()) ? "back" : "details-close").click();
    await ann.by("messages").waitFor();
  }
  if (await ann.by("message-actions").last().isVisible()) {
    await ann.by("message-actions").last().click();
    await sound(ann, "the menu of a message");
    await ann.page.keyboard.press("Escape");
  }
  if (await offered(ann, "my-status")) {
    await sound(ann, "the status");
    await ann.page.keyboard.press("Escape");
  }
  if (await ann.by("back").isVisible()) {
    await ann.by("back").click();
    await ann.by("wire-toggle").click();
    await sound(ann, "the wire panel");
    await ann.page.locator("#wire-close").click();
  }
  await ann.by("new-conversation").click();
  await ann.by("new-members").fill("ben, cleo");
  await sound(ann, "the dialog");
  await ann.page.keyboard.press("Escape");
}
