/** Who may do what in a conversation. The server decides; this only keeps the page from offering what it would refuse. */
import { isGroup } from "./conversation.ts";
import type { Conversation } from "./conversation.ts";
import type { Features } from "./features.ts";
import type { Shown } from "./log.ts";

export function isOwner(conversation: Conversation, me: string): boolean {
  return conversation.owner === me;
}

/** One's own messages, and every one for the owner. */
export function mayChange(message: Shown, conversation: Conversation, me: string, features: Features): boolean {
  if (message.kind !== "message" || message.deleted || !features.offers("edits")) return false;
  return message.from === me || isOwner(conversation, me);
}

/** A pair stays a pair; a closed group is its owner's. */
export function mayAdd(conversation: Conversation, me: string, features: Features): boolean {
  if (!features.offers("groups") || !isGroup(conversation, me)) return false;
  return !conversation.closed || isOwner(conversation, me);
}

export const mayRename = mayAdd;

export function mayRemove(conversation: Conversation, user: string, me: string, features: Features): boolean {
  return features.offers("groups") && isGroup(conversation, me) && isOwner(conversation, me) && user !== me;
}

export function mayLeave(conversation: Conversation, me: string, features: Features): boolean {
  return features.offers("groups") && isGroup(conversation, me);
}
