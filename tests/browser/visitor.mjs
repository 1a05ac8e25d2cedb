// A person at the demo page, in a real browser.
import { chromium } from "playwright-core";
import { until } from "../clients/server.mjs";

const FLAGS = [
  "--headless",
  "--no-sandbox",
  "--disable-gpu",
  "--disable-quic",
  "--no-first-run",
  "--disable-background-networking",
  "--disable-component-update",
  "--disable-sync",
];
const WAIT_MS = 20_000;
const DESK = { width: 1360, height: 820 };

export function launch() {
  return chromium.launch({ executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium", args: FLAGS });
}

export class Visitor {
  constructor(page, name) {
    this.page = page;
    this.name = name;
    this.errors = [];
    page.setDefaultTimeout(WAIT_MS);
    page.on("pageerror", (error) => this.errors.push(String(error)));
    page.on("console", (message) => {
      if (message.type() === "error") this.errors.push(message.text());
    });
  }

  /** Opens the page in a window of its own, which shares nothing with the others. */
  static async at(browser, url, name, options = {}) {
    const context = await browser.newContext({ viewport: DESK, ...options });
    const visitor = new Visitor(await context.newPage(), name);
    await visitor.page.goto(url);
    return visitor;
  }

  /** Opens the page and comes in under a name. */
  static async inside(browser, url, name, options = {}) {
    const visitor = await Visitor.at(browser, url, name, options);
    await visitor.by("name-input").fill(name);
    await visitor.by("name-submit").click();
    await visitor.status("Live");
    return visitor;
  }

  by(testId) {
    return this.page.getByTestId(testId);
  }

  /** Waits until the page says that the connection is in this state. */
  async status(text) {
    await until(`${this.name} to be ${text}`, async () => (await this.by("status-text").textContent()) === text);
  }

  /** Starts a conversation through the dialog; the page opens it. */
  async start(members, title = "") {
    await this.by("new-conversation").click();
    await this.by("new-members").fill(members.join(", "));
    if (title !== "") await this.by("new-name").fill(title);
    await this.by("new-submit").click();
    await this.by("new-dialog").waitFor({ state: "hidden" });
    await this.heading(title === "" ? members.join(", ") : title);
  }

  /** Opens a conversation from the list. */
  async open(name) {
    await this.item(name).click();
    await this.heading(name);
  }

  async heading(name) {
    await until(`${this.name} to have ${name} open`, async () => (await this.by("thread-title").textContent()) === name);
  }

  item(name) {
    return this.page.locator(`[data-testid="conversation"][data-name="${name}"]`);
  }

  async write(text) {
    await this.by("draft").fill(text);
    await this.by("draft").press("Enter");
  }

  /** What the open conversation shows, acknowledged messages only. */
  texts() {
    return this.by("message").locator(".text").allTextContents();
  }

  /** Waits until the open conversation shows exactly these messages, in this order, and nothing on its way. */
  async sees(...wanted) {
    let seen = [];
    const all = async () => {
      seen = await this.texts();
      return seen.join("\n") === wanted.join("\n") && (await this.by("pending").count()) === 0;
    };
    await until(`${this.name} to see the messages`, all).catch(() => {
      throw new Error(`${this.name} should see ${JSON.stringify(wanted)} and sees ${JSON.stringify(seen)}`);
    });
  }

  /** The unread count of a conversation in the list; 0 where there is no badge. */
  async unread(name) {
    const badge = this.item(name).getByTestId("unread");
    return (await badge.isVisible()) ? Number(await badge.textContent()) : 0;
  }

  async hasUnread(name, count) {
    await until(`${this.name} to have ${count} unread from ${name}`, async () => (await this.unread(name)) === count);
  }

  /** The frames in the panel: direction, label, and all that the line says. */
  frames() {
    return this.by("frame").evaluateAll((items) =>
      items.map((item) => ({
        direction: item.dataset.direction,
        label: item.dataset.label,
        kind: item.dataset.kind,
        tied: item.classList.contains("rail-dot"),
        text: item.textContent,
      })),
    );
  }

  leave() {
    return this.page.context().close();
  }
}
