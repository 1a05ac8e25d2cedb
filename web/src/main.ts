/** The demo page: the door, and the page behind it. */
import { Page } from "./page.ts";
import { DemoOff, demoTokens } from "./token.ts";
import type { TokenSource } from "./token.ts";
import { Landing } from "./ui/landing.ts";

/** A name belongs to one tab, so that two tabs can be two people. */
const NAME = "doorbell.name";
const DEVICE = "doorbell.device";

const landing = new Landing((tokens, name) => enter(tokens, name));
const page = new Page((message) => {
  sessionStorage.removeItem(NAME);
  landing.show(message);
});

function enter(tokens: TokenSource, name: string | null): void {
  if (name !== null) sessionStorage.setItem(NAME, name);
  landing.hide();
  page.enter(tokens, deviceOfThisTab());
}

/** A tab that is loaded again goes on under its name. */
async function begin(): Promise<void> {
  const name = sessionStorage.getItem(NAME);
  if (name === null) return landing.show("");
  const tokens = demoTokens(name);
  try {
    await tokens(false);
  } catch (error) {
    if (error instanceof DemoOff) {
      landing.askForToken();
      return landing.show(error.message);
    }
    // Anything else the session itself meets again, and handles.
  }
  enter(tokens, name);
}

function deviceOfThisTab(): string {
  const known = sessionStorage.getItem(DEVICE);
  if (known !== null) return known;
  const bytes = crypto.getRandomValues(new Uint8Array(6));
  const device = `web-${Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("")}`;
  sessionStorage.setItem(DEVICE, device);
  return device;
}

void begin();
