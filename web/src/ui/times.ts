/** How moments are written on this page. */
const clock = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit" });
const weekday = new Intl.DateTimeFormat(undefined, { weekday: "long" });
const date = new Intl.DateTimeFormat(undefined, { day: "numeric", month: "long" });
const dateYear = new Intl.DateTimeFormat(undefined, { day: "numeric", month: "long", year: "numeric" });
const full = new Intl.DateTimeFormat(undefined, { dateStyle: "full", timeStyle: "medium" });

const DAY_MS = 86_400_000;

export function timeOfDay(ms: number): string {
  return clock.format(ms);
}

export function fullTime(ms: number): string {
  return full.format(ms);
}

/** Today, Yesterday, Monday, 3 May, 3 May 2024. */
export function dayName(ms: number, nowMs: number = Date.now()): string {
  const days = Math.round((midnight(nowMs) - midnight(ms)) / DAY_MS);
  if (days === 0) return "Today";
  if (days === 1) return "Yesterday";
  if (days > 1 && days < 7) return weekday.format(ms);
  return new Date(ms).getFullYear() === new Date(nowMs).getFullYear() ? date.format(ms) : dateYear.format(ms);
}

/** For the list: the time today, the day before that. */
export function shortMoment(ms: number, nowMs: number = Date.now()): string {
  return midnight(ms) === midnight(nowMs) ? timeOfDay(ms) : dayName(ms, nowMs);
}

/** 14:03:22.518, as in a log. */
export function stamp(ms: number): string {
  const at = new Date(ms);
  const two = (n: number) => String(n).padStart(2, "0");
  const millis = String(at.getMilliseconds()).padStart(3, "0");
  return `${two(at.getHours())}:${two(at.getMinutes())}:${two(at.getSeconds())}.${millis}`;
}

function midnight(ms: number): number {
  return new Date(ms).setHours(0, 0, 0, 0);
}
