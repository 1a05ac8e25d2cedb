/** One line of a conversation. */
import type { Row } from "../chat/rows.ts";
import { hueOf, pieces } from "../chat/words.ts";
import { button, make, setText } from "./dom.ts";
import { dayName, fullTime, timeOfDay } from "./times.ts";

export interface RowActions {
  retry(key: string): void;
  discard(key: string): void;
}

const HUES = 8;

export function buildRow(row: Row, group: boolean, actions: RowActions): HTMLElement {
  switch (row.kind) {
    case "day":
      return make("li", "row-day", make("span", ""));
    case "new":
      return make("li", "row-new", make("span", "", "New"));
    case "note":
      return make("li", "row-note", `${row.from} named the conversation “${row.text}”`);
    case "message":
      return buildMessage(row.message.from, row.mine, group);
    case "pending":
      return buildPending(row.key, actions);
  }
}

export function updateRow(element: HTMLElement, row: Row): void {
  if (row.kind === "day") setText(element.firstElementChild as Element, dayName(row.atMs));
  if (row.kind === "message") updateMessage(element, row);
  if (row.kind === "pending") updatePending(element, row);
}

function buildMessage(from: string, mine: boolean, group: boolean): HTMLElement {
  const author = make("span", mine || !group ? "sr-only" : "author", mine ? "You" : from);
  author.dataset.hue = String(hueOf(from, HUES));
  const bubble = make("div", "bubble", author, make("div", "text"), make("time", "time"));
  const element = make("li", mine ? "row mine" : "row", bubble);
  element.dataset.testid = "message";
  element.dataset.from = from;
  return element;
}

function updateMessage(element: HTMLElement, row: Extract<Row, { kind: "message" }>): void {
  const { message } = row;
  element.dataset.version = String(message.version);
  element.classList.toggle("follows", row.follows);
  element.classList.toggle("deleted", message.deleted);
  fillText(element, message.deleted ? "Message deleted" : message.text);
  const time = element.querySelector("time") as HTMLTimeElement;
  time.dateTime = new Date(message.sentAtMs).toISOString();
  time.title = `${fullTime(message.sentAtMs)}, version ${message.version}`;
  setText(time, (message.edited ? "edited " : "") + timeOfDay(message.sentAtMs));
}

function buildPending(key: string, actions: RowActions): HTMLElement {
  const bubble = make("div", "bubble", make("div", "text"), make("span", "time"));
  const refused = make("div", "refused");
  refused.setAttribute("role", "alert");
  refused.append(
    make("span", "refused-why"),
    button("link", "Send again", () => actions.retry(key)),
    button("link", "Discard", () => actions.discard(key)),
  );
  const element = make("li", "row mine pending", bubble, refused);
  element.dataset.testid = "pending";
  return element;
}

function updatePending(element: HTMLElement, row: Extract<Row, { kind: "pending" }>): void {
  const { refused, text } = row.pending;
  element.classList.toggle("follows", row.follows);
  element.classList.toggle("is-refused", refused !== null);
  fillText(element, text);
  setText(element.querySelector(".time") as Element, refused === null ? "sending" : "not sent");
  (element.querySelector(".refused") as HTMLElement).hidden = refused === null;
  setText(element.querySelector(".refused-why") as Element, refused ?? "");
}

function fillText(element: HTMLElement, text: string): void {
  const target = element.querySelector(".text") as HTMLElement;
  if (target.textContent === text) return;
  target.replaceChildren(...pieces(text).map(({ text: part, href }) => (href === null ? part : link(href))));
}

function link(href: string): HTMLAnchorElement {
  const anchor = make("a", "", href) as HTMLAnchorElement;
  anchor.href = href;
  anchor.target = "_blank";
  anchor.rel = "noopener noreferrer";
  return anchor;
}
