// The page on a phone, in the dark, without a mouse, and read aloud.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { Server, until } from "../../clients/server.mjs";
import { Visitor, launch } from "../visitor.mjs";

const PHONE = { viewport: { width: 390, height: 844 }, hasTouch: true, isMobile: true };

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

/** Fails where the page is wider than the window. */
async function fits(visitor, where) {
  const { page, window } = await visitor.page.evaluate(() => ({
    page: document.documentElement.scrollWidth,
    window: innerWidth,
  }));
  assert.ok(page <= window, `${where}: ${page} px in a window of ${window}`);
  assert.equal(window, 390);
}

test("a phone shows one pane at a time, and nothing is wider than it", async () => {
  const desk = await Visitor.inside(browser, server.url, "ann");
  await desk.start(["ben", "a-very-long-name-that-somebody-has-chosen-for-whatever-reason"], "A title that is too long for any phone");
  await desk.write(`https://example.org/${"x".repeat(300)}`);
  await desk.write("and a short one");

  const phone = await Visitor.at(browser, server.url, "ben", PHONE);
  await fits(phone, "the door");
  await phone.by("name-input").fill("ben");
  await phone.by("name-submit").tap();
  await phone.status("Live");
  await phone.by("conversation").waitFor();
  await fits(phone, "the list");
  assert.equal(await phone.by("thread").isVisible(), false);

  await phone.by("conversation").tap();
  await until("the messages", async () => (await phone.texts()).length === 2);
  await fits(phone, "the conversation");
  assert.equal(await phone.by("conversation-list").isVisible(), false);
  await phone.by("draft").fill("from my phone");
  await phone.by("send").tap();
  await until("the answer", async () => (await desk.texts()).at(-1) === "from my phone");

  assert.equal(await phone.by("wire").isVisible(), false);
  await phone.by("wire-toggle").tap();
  await phone.by("wire").waitFor();
  await fits(phone, "the wire panel");
  await phone.page.locator("#wire-close").tap();
  assert.equal(await phone.by("wire").isVisible(), false);

  await phone.by("back").tap();
  await phone.by("conversation-list").waitFor();
  await phone.by("conversation").tap();
  await phone.by("thread").waitFor();
  await phone.page.goBack();
  await phone.by("conversation-list").waitFor();
  await phone.by("new-conversation").tap();
  await fits(phone, "the dialog");
  assert.deepEqual(phone.errors, []);
  await Promise.all([desk.leave(), phone.leave()]);
});

test("everything can be done from the keyboard", async () => {
  const cleo = await Visitor.at(browser, server.url, "cleo");
  const { keyboard } = cleo.page;
  const focused = () => cleo.page.evaluate(() => document.activeElement?.dataset.testid ?? "");
  const tabTo = (testId) =>
    until(`the focus on ${testId}`, async () => {
      if ((await focused()) === testId) return true;
      await keyboard.press("Tab");
      return false;
    });
  assert.equal(await focused(), "name-input");
  await keyboard.type("cleo");
  await keyboard.press("Enter");
  await cleo.status("Live");
  await tabTo("new-conversation");
  await keyboard.press("Enter");
  await until("the dialog", async () => (await focused()) === "new-members");
  await keyboard.type("dan");
  await keyboard.press("Enter");
  await until("the field for a message", async () => (await focused()) === "draft");
  await keyboard.type("no mouse");
  await keyboard.press("Shift+Enter");
  await keyboard.type("was needed");
  await keyboard.press("Enter");
  await cleo.sees("no mouse\nwas needed");
  await tabTo("conversation");
  const ring = await cleo.page.evaluate(() => getComputedStyle(document.activeElement).outlineStyle);
  assert.notEqual(ring, "none", "the focus is seen");
  await cleo.leave();
});

test("everything that can be used has a name, and new messages are read aloud", async () => {
  const [eve, finn] = await Promise.all(["eve", "finn"].map((name) => Visitor.inside(browser, server.url, name)));
  await eve.start(["finn"]);
  await eve.write("to open it");
  await finn.open("eve");
  await finn.sees("to open it");
  await eve.write("listen");
  await until("the announcement", async () => (await finn.by("announcer").textContent()) === "eve: listen");
  assert.equal(await finn.by("announcer").getAttribute("aria-live"), "polite");

  const nameless = await finn.page.evaluate(() => {
    const named = (element) =>
      (element.getAttribute("aria-label") ?? "") !== "" ||
      element.textContent.trim() !== "" ||
      (element.labels?.length ?? 0) > 0;
    return [...document.querySelectorAll("button, input, textarea, a")].filter((e) => !named(e)).map((e) => e.outerHTML);
  });
  assert.deepEqual(nameless, []);
  await Promise.all([eve.leave(), finn.leave()]);
});

test("text can be read in the light and in the dark", async () => {
  for (const colorScheme of ["light", "dark"]) {
    const gus = await Visitor.inside(browser, server.url, `gus-${colorScheme}`, { colorScheme });
    await gus.start(["hal"]);
    await gus.write("how does this look?");
    await gus.sees("how does this look?");
    const faint = await gus.page.evaluate(faintTexts);
    assert.deepEqual(faint, [], colorScheme);
    await gus.leave();
  }
});

/** Runs in the page: the visible texts whose contrast with their ground is below 4.5 : 1. */
function faintTexts() {
  const parse = (color) => (color.match(/[\d.]+/g) ?? []).map(Number);
  const ground = (element) => {
    for (let at = element; at; at = at.parentElement) {
      const [r, g, b, alpha = 1] = parse(getComputedStyle(at).backgroundColor);
      if (alpha === 1) return [r, g, b];
    }
    return [255, 255, 255];
  };
  const light = (channels) => {
    const [r, g, b] = channels.map((value) => {
      const part = value / 255;
      return part <= 0.03928 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4;
    });
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const found = [];
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) {
    const element = walker.currentNode.parentElement;
    const text = walker.currentNode.data.trim();
    if (text === "" || !element.checkVisibility() || element.closest(".sr-only, script, symbol")) continue;
    const [one, other] = [light(parse(getComputedStyle(element).color).slice(0, 3)), light(ground(element))];
    const contrast = (Math.max(one, other) + 0.05) / (Math.min(one, other) + 0.05);
    if (contrast < 4.5) found.push(`${text.slice(0, 40)} (${element.className}): ${contrast.toFixed(2)}`);
  }
  return found;
}
