/** What a close code tells the client to do. */
export type Verdict =
  | { come: "back" }
  | { come: "back with a fresh token" }
  | { come: "never"; why: StopReason };

/** Why the client stopped for good; the page says it in words. */
export type StopReason = "refused" | "forbidden" | "replaced" | "protocol";

const PROTOCOL_CODES = new Set([1002, 1007, 1009]);

/** 44xx stop, but for 4408, 4419 and 4429; of RFC 6455's own codes only the three that blame this client do. */
export function verdict(code: number): Verdict {
  if (code === 4408 || code === 4429) return { come: "back" };
  if (code === 4419) return { come: "back with a fresh token" };
  if (code === 4401) return { come: "never", why: "refused" };
  if (code === 4403) return { come: "never", why: "forbidden" };
  if (code === 4409) return { come: "never", why: "replaced" };
  if (code >= 4400 && code < 4500) return { come: "never", why: "protocol" };
  if (PROTOCOL_CODES.has(code)) return { come: "never", why: "protocol" };
  return { come: "back" };
}
