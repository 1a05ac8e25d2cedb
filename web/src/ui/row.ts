/** One line of a conversation. Whatever people wrote is set as text, never as markup. */
import type { Row } from "../chat/rows.ts";
import { pieces, webLinks } from "../chat/words.ts";
import { hueName } from "./avatar.ts";
import { button, icon, make, setText } from "./dom.ts";
import { dayName, fullTime, timeOfDay } from "./times.ts";

export interface RowActions {
  retry(key: string): void;
  discard(key: string): void;
  /** Opens the menu of a message beside its button. */
  menu(version: number, opener: HTMLElement): void;
}

type MessageRow = Extract<Row, { kind: "message" }>;

/** As much of a message as its button is called after. */
const NAMED_AFTER_MAX = 40;

export function buildRow(row: Row, group: boolean, actions: RowActions): HTMLElement {
  switch (row.kind) {
    case "day":
      return make("li", "row-day", make("span", ""));
    case "new":
      return make("li", "row-new", make("span", "", "New"));
    case "note":
      return make("li", "row-note", `${row.from} named the conversation “${row.text}”`);
    case "message":
      return buildMessage(row, group, actions);
    case "pending":
      return buildPending(row.key, actions);
  }
}

/** `mayChange`: whether this user may edit and delete the message. */
export function updateRow(element: HTMLElement, row: Row, mayChange: (row: MessageRow) => boolean): void {
  if (row.kind === "day") setText(element.firstElementChild as Element, dayName(row.atMs));
  if (row.kind === "message") updateMessage(element, row, mayChange(row));
  if (row.kind === "pending") updatePending(element, row);
}

function buildMessage({ message, mine }: MessageRow, group: boolean, actions: RowActions): HTMLElement {
  const author = make("span", mine || !group ? "sr-only" : "author", mine ? "You" : message.from);
  author.dataset.hue = hueName(message.from);
  const bubble = make("div", "bubble", author, make("div", "text"), make("time", "time"));
  const menu: HTMLButtonElement = button("row-menu", "", () => actions.menu(message.version, menu));
  menu.append(icon("more"));
  menu.setAttribute("aria-haspopup", "menu");
  menu.setAttribute("aria-expanded", "false");
  menu.tabIndex = -1;
  menu.dataset.testid = "message-actions";
  const element = make("li", mine ? "row mine" : "row", make("div", "line", bubble, menu));
  element.dataset.testid = "message";
  element.dataset.from = message.from;
  return element;
}

function updateMessage(element: HTMLElement, row: MessageRow, mayChange: boolean): void {
  const { message } = row;
  element.dataset.version = String(message.version);
  element.classList.toggle("follows", row.follows);
  element.classList.toggle("deleted", message.deleted);
  element.classList.toggle("saving", row.saving);
  fillText(element, message.deleted ? "Message deleted" : message.text);
  fillMedia(element, message.media);
  const time = element.querySelector("time") as HTMLTimeElement;
  time.dateTime = new Date(message.sentAtMs).toISOString();
  time.title = `${fullTime(message.sentAtMs)}, version ${message.version}`;
  setText(time, `${markOf(row)}${timeOfDay(message.sentAtMs)}`);
  const menu = element.querySelector(".row-menu") as HTMLButtonElement;
  menu.hidden = !mayChange || row.saving;
  const whose = row.mine ? "your message" : `the message of ${message.from}`;
  menu.setAttribute("aria-label", `Change ${whose}: ${message.text.slice(0, NAMED_AFTER_MAX)}`);
}

function markOf({ message, saving }: MessageRow): string {
  if (saving) return "saving ";
  if (message.deleted || message.editedBy === null) return "";
  return message.editedBy === message.from ? "edited " : `edited by ${message.editedBy} `;
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
  const element = make("li", "row mine pending", make("div", "line", bubble), refused);
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

/** Links that the sender put beside the text. */
function fillMedia(element: HTMLElement, media: string[]): void {
  const links = webLinks(media);
  const known = element.querySelector(".media");
  if (known?.childElementCount === links.length || (known === null && links.length === 0)) return;
  known?.remove();
  if (links.length === 0) return;
  const list = make("ul", "media", ...links.map((href) => make("li", "", link(href))));
  element.querySelector(".text")?.after(list);
}

function link(href: string): HTMLAnchorElement {
  const anchor = make("a", "", href) as HTMLAnchorElement;
  anchor.href = href;
  anchor.target = "_blank";
  anchor.rel = "noopener noreferrer";
  return anchor;
}
