/** The list of conversations. */
import type { Book } from "../chat/book.ts";
import { byRecency, nameOf, othersIn } from "../chat/conversation.ts";
import type { Conversation } from "../chat/conversation.ts";
import { hueOf, initialOf } from "../chat/words.ts";
import { byId, make, reconcile, setText } from "./dom.ts";
import { shortMoment } from "./times.ts";

const HUES = 8;

export function renderList(book: Book, select: (id: string) => void): void {
  const sorted = byRecency(book.conversations.values());
  reconcile(
    byId("list"),
    sorted,
    (conversation) => conversation.id,
    (conversation) => buildItem(conversation.id, select),
    (element, conversation) => updateItem(element, conversation, book),
  );
  byId("list-empty").hidden = !book.listLoaded || sorted.length > 0;
  byId("list-more").hidden = book.listNext === undefined;
}

/** The colour and the letter stay with a conversation's name. */
export function paintAvatar(avatar: HTMLElement, name: string, group: boolean): void {
  avatar.dataset.hue = String(hueOf(name, HUES));
  avatar.dataset.shape = group ? "group" : "person";
  setText(avatar, initialOf(name));
}

export function isGroup(conversation: Conversation, me: string): boolean {
  return conversation.title !== null || othersIn(conversation, me).length > 1;
}

function buildItem(id: string, select: (id: string) => void): HTMLElement {
  const open = make(
    "button",
    "item",
    make("span", "avatar"),
    make("span", "item-name"),
    make("span", "item-time"),
    make("span", "item-last"),
    make("span", "badge"),
  ) as HTMLButtonElement;
  open.type = "button";
  open.dataset.testid = "conversation";
  open.addEventListener("click", () => select(id));
  open.querySelector(".avatar")?.setAttribute("aria-hidden", "true");
  return make("li", "", open);
}

function updateItem(element: HTMLElement, conversation: Conversation, book: Book): void {
  const part = (name: string) => element.querySelector<HTMLElement>(`.${name}`) as HTMLElement;
  const name = nameOf(conversation, book.me);
  const item = part("item");
  item.dataset.name = name;
  if (conversation.id === book.openId) item.setAttribute("aria-current", "true");
  else item.removeAttribute("aria-current");
  paintAvatar(part("avatar"), name, isGroup(conversation, book.me));
  setText(part("item-name"), name);
  setText(part("item-time"), shortMoment(conversation.updatedAtMs));
  setText(part("item-last"), lastLine(conversation, book.me));
  const badge = part("badge");
  badge.hidden = conversation.unread === 0;
  badge.dataset.testid = "unread";
  setText(badge, conversation.unread > 99 ? "99+" : String(conversation.unread));
  badge.setAttribute("aria-label", `${conversation.unread} unread`);
}

function lastLine(conversation: Conversation, me: string): string {
  const { last } = conversation;
  if (last === null) return "No messages yet";
  if (last.deleted === true || last.kind === "delete") return "Message deleted";
  const text = last.text ?? "";
  if (last.from === me) return `You: ${text}`;
  return isGroup(conversation, me) ? `${last.from}: ${text}` : text;
}
