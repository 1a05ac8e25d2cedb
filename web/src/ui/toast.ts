/** A word about something that did not work, where no field is that it belongs to. It stands over the page and moves nothing. */
import { byId } from "./dom.ts";

const SHOWN_MS = 7_000;

let timer: ReturnType<typeof setTimeout> | undefined;

export function toast(text: string): void {
  const element = byId("toast");
  element.textContent = text;
  clearTimeout(timer);
  timer = setTimeout(() => (element.textContent = ""), SHOWN_MS);
}
