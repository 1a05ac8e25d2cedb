/** The members of the open conversation: who is there, who owns it, who may be removed. */
import type { Book } from "../chat/book.ts";
import type { Conversation } from "../chat/conversation.ts";
import { presenceWords } from "../chat/presence.ts";
import { mayRemove } from "../chat/rights.ts";
import { paintAvatar } from "./avatar.ts";
import { button, byId, make, reconcile, setText } from "./dom.ts";
import { paintPresence } from "./presence.ts";

export function renderMembers(open: Conversation, book: Book, remove: (user: string) => void): void {
  reconcile(
    byId("members"),
    open.members,
    (user) => user,
    (user) => build(user, remove),
    (element, user) => update(element, user, open, book),
  );
}

function build(user: string, remove: (user: string) => void): HTMLElement {
  const avatar = make("span", "avatar-box", make("span", "avatar"), make("span", "presence"));
  avatar.setAttribute("aria-hidden", "true");
  const take = button("ghost member-remove", "Remove", () => remove(user));
  take.setAttribute("aria-label", `Remove ${user}`);
  take.dataset.testid = "remove-member";
  const names = make("div", "member-names", make("span", "member-name", user), make("span", "member-words"));
  const element = make("li", "member", avatar, names, make("span", "tag"), take);
  element.dataset.testid = "member";
  element.dataset.name = user;
  return element;
}

function update(element: HTMLElement, user: string, open: Conversation, book: Book): void {
  const part = (name: string) => element.querySelector<HTMLElement>(`.${name}`) as HTMLElement;
  const person = book.people.get(user);
  paintAvatar(part("avatar"), user, false);
  paintPresence(part("presence"), person);
  setText(part("member-words"), presenceWords(person, Date.now()));
  const tags = [user === book.me ? "you" : "", user === open.owner ? "owner" : ""].filter((tag) => tag !== "");
  part("tag").hidden = tags.length === 0;
  setText(part("tag"), tags.join(", "));
  part("member-remove").hidden = !mayRemove(open, user, book.me, book.features);
}
