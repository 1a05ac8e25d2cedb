/** The head of the open conversation: its name, and who is there. */
import type { Book } from "../chat/book.ts";
import { isGroup, nameOf, othersIn } from "../chat/conversation.ts";
import type { Conversation } from "../chat/conversation.ts";
import { presenceWords, whoIsThere } from "../chat/presence.ts";
import { typingWords } from "../chat/typing.ts";
import { paintAvatar } from "./avatar.ts";
import { byId, setText } from "./dom.ts";
import { paintPresence } from "./presence.ts";

export function renderHead(open: Conversation, book: Book): void {
  const name = nameOf(open, book.me);
  const group = isGroup(open, book.me);
  setText(byId("thread-title"), name);
  setText(byId("thread-members"), group ? whoIsThere(open, book.features.offers("presence") ? book.people : null, book.me) : presenceWords(otherOf(open, book), Date.now()));
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
