/** The head of the open conversation: its name, and who is there. */
import type { Book } from "../chat/book.ts";
import { isGroup, nameOf, othersIn } from "../chat/conversation.ts";
import type { Conversation } from "../chat/conversation.ts";
import { FOLLOWED_MEMBERS_MAX, presenceWords } from "../chat/presence.ts";
import { typingWords } from "../chat/typing.ts";
import { paintAvatar } from "./avatar.ts";
import { byId, setText } from "./dom.ts";
import { paintPresence } from "./presence.ts";

export function renderHead(open: Conversation, book: Book): void {
  const name = nameOf(open, book.me);
  const group = isGroup(open, book.me);
  setText(byId("thread-title"), name);
  setText(byId("thread-members"), group ? whoIsThere(open, book) : presenceWords(otherOf(open, book), Date.now()));
  paintAvatar(byId("thread-avatar"), name, group);
  paintPresence(byId("thread-presence"), group ? undefined : otherOf(open, book));
  byId("thread-label").hidden = open.label === null || open.label === "";
  setText(byId("thread-label"), open.label ?? "");
  byId("thread-muted").toggleAttribute("hidden", !open.muted);
  setText(byId("messages-start"), beginning(open, name, group));
  renderTyping(open, book);
}

/** The person at the other end of a pair, as far as known. */
export function otherOf(conversation: Conversation, book: Book) {
  return book.people.get(othersIn(conversation, book.me)[0] ?? "");
}

/** `3 online · ann, ben, cleo, dan`; of a large one `87 online · 1,240 members`. */
function whoIsThere(open: Conversation, book: Book): string {
  const all = open.members.length >= open.memberCount;
  const who = all && open.memberCount <= FOLLOWED_MEMBERS_MAX ? open.members.join(", ") : `${open.memberCount.toLocaleString()} members`;
  const there = open.online ?? seenOnline(open, book);
  return there === null ? who : `${there.toLocaleString()} online · ${who}`;
}

/** This user is there, whatever the others see. `null` where presence is not to be had. */
function seenOnline(open: Conversation, book: Book): number | null {
  if (!book.features.offers("presence") || open.memberCount > FOLLOWED_MEMBERS_MAX) return null;
  const there = othersIn(open, book.me).filter((user) => (book.people.get(user)?.presence ?? "offline") !== "offline");
  return there.length + 1;
}

function beginning(open: Conversation, name: string, group: boolean): string {
  if (open.log === null) return "Loading…";
  if (open.log.after > 0) return "Loading earlier messages…";
  return group ? `This is the beginning of ${name}.` : `This is the beginning of your conversation with ${name}.`;
}

/** Seen, and not read aloud: it would come between every two messages. */
function renderTyping(open: Conversation, book: Book): void {
  const words = typingWords(book.typing.who(open.topic, performance.now()));
  byId("typing").dataset.shown = String(words !== "");
  setText(byId("typing-text"), words);
}
