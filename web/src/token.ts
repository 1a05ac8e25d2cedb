/** Where the page's tokens come from. */
import { NoToken } from "./client/client.ts";
import type { Credentials } from "./client/client.ts";

/** The server gives no token for a name, or not to this visitor: the user has to bring one. */
export class DemoOff extends NoToken {}

export type TokenSource = (fresh: boolean) => Promise<Credentials>;

/** A token this close to its end is not worth a connection. */
const LAST_MOMENTS_MS = 5_000;

/** Asks the demo's token endpoint, and again only when the token no longer does. */
export function demoTokens(user: string, fetcher: typeof fetch = (...args) => fetch(...args)): TokenSource {
  let known: Credentials | null = null;
  return async (fresh) => {
    const alive = known?.expiresAtMs === undefined || known.expiresAtMs > Date.now() + LAST_MOMENTS_MS;
    if (known === null || fresh || !alive) known = await askForToken(user, fetcher);
    return known;
  };
}

/** A token that the user pasted: there is no other one behind it. */
export function pastedToken(token: string): TokenSource {
  return async (fresh) => {
    if (fresh) throw new NoToken("Your token has expired. Paste a new one.");
    return { token };
  };
}

async function askForToken(user: string, fetcher: typeof fetch): Promise<Credentials> {
  const response = await fetcher("/v1/demo/token", {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify({ user }),
    cache: "no-store",
  });
  if (response.ok) {
    const { token, expires_at_ms } = (await response.json()) as { token: string; expires_at_ms: number };
    return { token, expiresAtMs: expires_at_ms };
  }
  if (response.status === 404) throw new DemoOff("On this server a name is not enough.");
  const message = await errorMessage(response);
  if (response.status === 403) throw new DemoOff(message);
  // A refusal of this very name; anything else may pass.
  if (response.status >= 400 && response.status < 500 && response.status !== 429) throw new NoToken(message);
  throw new Error(message);
}

async function errorMessage(response: Response): Promise<string> {
  try {
    const body = (await response.json()) as { error: { message: string } };
    return body.error.message;
  } catch {
    return `The server answered ${response.status}.`;
  }
}
