/** The list of conversations. */
import type { Book } from "../chat/book.ts";
import { byRecency, isGroup, nameOf } from "../chat/conversation.ts";
import type { Conversation } from "../chat/conversation.ts";
import { presenceWords } from "../chat/presence.ts";
import { paintAvatar } from "./avatar.ts";
import { byId, icon, make, reconcile, setText } from "./dom.ts";
import { otherOf } from "./head.ts";
import { paintPresence } from "./presence.ts";
import { shortMoment } from "./times.ts";

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

function buildItem(id: string, select: (id: string) => void): HTMLElement {
  const avatar = make("span", "avatar-box", make("span", "avatar"), make("span", "presence"));
  avatar.setAttribute("aria-hidden", "true");
  const muted = icon("mute", "muted-mark");
  muted.setAttribute("role", "img");
  muted.setAttribute("aria-label", "muted");
  muted.removeAttribute("aria-hidden");
  const open = make(
    "button",
    "item",
    avatar,
    make("span", "item-head", make("span", "item-name"), make("span", "item-presence sr-only"), make("span", "label")),
    make("span", "item-time"),
    make("span", "item-last"),
    make("span", "item-marks", muted, make("span", "badge"), make("span", "item-unread sr-only")),
  ) as HTMLButtonElement;
  open.querySelector(".badge")?.setAttribute("aria-hidden", "true");
  open.type = "button";
  open.dataset.testid = "conversation";
  open.addEventListener("click", () => select(id));
  return make("li", "", open);
}

function updateItem(element: HTMLElement, conversation: Conversation, book: Book): void {
  const part = (name: string) => element.querySelector<HTMLElement>(`.${name}`) as HTMLElement;
  const name = nameOf(conversation, book.me);
  const group = isGroup(conversation, book.me);
  const person = group ? undefined : otherOf(conversation, book);
  const item = part("item");
  item.dataset.name = name;
  if (conversation.id === book.openId) item.setAttribute("aria-current", "true");
  else item.removeAttribute("aria-current");
  paintAvatar(part("avatar"), name, group);
  paintPresence(part("presence"), person);
  setText(part("item-name"), name);
  setText(part("item-presence"), presenceWords(person, Date.now()));
  setText(part("label"), conversation.label ?? "");
  part("label").hidden = (conversation.label ?? "") === "";
  part("muted-mark").toggleAttribute("hidden", !conversation.muted);
  setText(part("item-time"), shortMoment(conversation.updatedAtMs));
  updateLast(part("item-last"), conversation, book);
  updateBadge(part("badge"), conversation);
  setText(part("item-unread"), conversation.unread > 0 ? `${conversation.unread} unread` : "");
}

function updateLast(element: HTMLElement, conversation: Conversation, book: Book): void {
  const [writer] = book.typing.who(conversation.topic, performance.now());
  element.classList.toggle("is-typing", writer !== undefined);
  if (writer === undefined) return setText(element, lastLine(conversation, book.me));
  setText(element, isGroup(conversation, book.me) ? `${writer} is typing…` : "typing…");
}

function updateBadge(badge: HTMLElement, { unread, muted }: Conversation): void {
  badge.hidden = unread === 0;
  badge.dataset.testid = "unread";
  badge.classList.toggle("quiet", muted);
  setText(badge, unread > 99 ? "99+" : String(unread));
}

function lastLine(conversation: Conversation, me: string): string {
  const { last } = conversation;
  if (last === null) return "No messages yet";
  if (last.deleted === true || last.kind === "delete") return "Message deleted";
  const text = (last.text ?? "") === "" ? (last.media?.[0] ?? "") : (last.text ?? "");
  if (last.from === me) return `You: ${text}`;
  return isGroup(conversation, me) ? `${last.from}: ${text}` : text;
}
