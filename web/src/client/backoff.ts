/** Exponential backoff with full jitter: clients that lost the same server come back spread out, not as a wave. */
export const BACKOFF_BASE_MS = 500;
export const BACKOFF_CAP_MS = 20_000;

/** The wait before try number `attempt` (from 0). `random` is in [0, 1). */
export function fullJitter(attempt: number, random: number): number {
  const ceiling = Math.min(BACKOFF_CAP_MS, BACKOFF_BASE_MS * 2 ** Math.min(attempt, 16));
  return Math.floor(random * ceiling);
}
