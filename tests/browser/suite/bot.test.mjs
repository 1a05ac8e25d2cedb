import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { existsSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { after, afterEach, before, test } from "node:test";
import { fileURLToPath } from "node:url";
import { Server, until, within } from "../../clients/server.mjs";
import { Visitor, launch } from "../visitor.mjs";

const ROOT = join(dirname(fileURLToPath(import.meta.url)), "../../..");
const VENV = join(ROOT, "target/venv/bin/python");
/** A Python that has the package `websockets`. */
const PYTHON = process.env.PYTHON ?? (existsSync(VENV) ? VENV : "python3");

let server;
let browser;
let bots = [];
before(async () => {
  server = await Server.start();
  browser = await launch();
});
after(async () => {
  await browser.close();
  await server.dispose();
});
afterEach(async () => {
  await Promise.all(bots.map((bot) => bot.stop()));
  bots = [];
});

/** Starts examples/bot.py as its README says, under a name. */
function startBot(name) {
  const tokenFile = join(server.dataDir, `${name}.token`);
  writeFileSync(tokenFile, server.token(name));
  const state = join(server.dataDir, `${name}.json`);
  const args = [join(ROOT, "examples/bot.py"), "--url", server.wsUrl, "--token-file", tokenFile, "--state", state];
  const child = spawn(PYTHON, args, { stdio: ["ignore", "ignore", "pipe"] });
  let said = "";
  child.stderr.on("data", (data) => (said += data));
  const ended = new Promise((resolve) => child.once("close", (code) => resolve(code)));
  const bot = {
    ended,
    /** Waits until it has remembered where it is. */
    ready: () =>
      until(`the bot ${name} to start`, () => {
        if (child.exitCode !== null) throw new Error(`the bot ended with ${child.exitCode}:\n${said}`);
        return existsSync(state);
      }),
    stop: () => {
      child.kill("SIGKILL");
      return within(10_000, "the bot's end", ended);
    },
  };
  bots.push(bot);
  return bot;
}

test("the bot answers in a page, and once, though it is killed and started again", async () => {
  const first = startBot("bot");
  await first.ready();
  const ann = await Visitor.inside(browser, server.url, "ann");
  await ann.start(["bot"]);
  await ann.write("hello");
  await ann.sees("hello", "Hello ann, you said: hello");
  await first.stop();

  await ann.write("still there?");
  await ann.sees("hello", "Hello ann, you said: hello", "still there?");
  const second = startBot("bot");
  await second.ready();
  const all = ["hello", "Hello ann, you said: hello", "still there?", "Hello ann, you said: still there?"];
  await ann.sees(...all);
  await ann.write("good");
  await ann.sees(...all, "good", "Hello ann, you said: good");
  await ann.leave();
});

test("a bot that forgot everything does not answer twice", async () => {
  const conversation = (await server.call("ben", "conversations.create", { members: ["elf"], key: "c" })).conversation;
  await server.call("ben", "messages.send", { conversation, key: "m", text: "once" });
  const answers = async () => {
    const { messages } = await server.call("ben", "messages.list", { conversation, after: 0 });
    return messages.filter((message) => message.from === "elf").map((message) => message.text);
  };
  const first = startBot("elf");
  await until("the answer", async () => (await answers()).length === 1);
  await first.stop();
  writeFileSync(join(server.dataDir, "elf.json"), JSON.stringify({ cursor: null, versions: {} }));
  startBot("elf");
  await server.call("ben", "messages.send", { conversation, key: "n", text: "twice" });
  await until("the second answer", async () => (await answers()).length >= 2);
  assert.deepEqual(await answers(), ["Hello ben, you said: once", "Hello ben, you said: twice"]);
});

test("in a group the bot answers where it is named, and never another bot", async () => {
  await Promise.all([startBot("pip").ready(), startBot("pop").ready()]);
  const members = ["pip", "pop"];
  const { conversation } = await server.call("cleo", "conversations.create", { members, title: "Bots", key: "g" });
  const say = (key, text) => server.call("cleo", "messages.send", { conversation, key, text });
  const heard = async () => {
    const { messages } = await server.call("cleo", "messages.list", { conversation, after: 0 });
    return messages.map((message) => `${message.from}: ${message.text}`);
  };
  await say("1", "hello all");
  await say("2", "@pip tell @pop");
  await until("both answers", async () => (await heard()).length === 4);
  await say("3", "and @pop alone");
  await until("one more answer", async () => (await heard()).length === 6);
  const wanted = ["cleo: hello all", "cleo: @pip tell @pop", "cleo: and @pop alone", "pop: Hello cleo, you said: and @pop alone"];
  const lines = await heard();
  assert.deepEqual(lines.slice(0, 2), wanted.slice(0, 2));
  assert.deepEqual(lines.slice(2, 4).sort(), ["pip", "pop"].map((name) => `${name}: Hello cleo, you said: @pip tell @pop`));
  assert.deepEqual(lines.slice(4), wanted.slice(2));
});
