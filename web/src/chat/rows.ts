import { shown } from "./log.ts";
import type { Shown } from "./log.ts";
import type { Conversation, Pending } from "./conversation.ts";
import type { Version } from "../client/frames.ts";

/** One line of an open conversation. `key` stays the same while the line stays. */
export type Row =
  | { kind: "day"; key: string; atMs: number }
  | { kind: "new"; key: string }
  | { kind: "note"; key: string; from: string; text: string }
  /** `saving`: as it will be once the server has it. */
  | { kind: "message"; key: string; message: Shown; mine: boolean; follows: boolean; saving: boolean }
  | { kind: "pending"; key: string; pending: Pending; follows: boolean };

/** Messages of one sender that are closer than this stand together. */
const TOGETHER_MS = 5 * 60_000;

/** Lines for what is loaded, then what is still under way. `dividerAfter`: the read mark when the user came. */
export function rowsOf(conversation: Conversation, me: string, dividerAfter: Version | null): Row[] {
  const rows: Row[] = [];
  let day = "";
  let before: { from: string; atMs: number } | null = null;
  let divided = dividerAfter === null;
  for (const message of shown(conversation.log?.entries ?? [])) {
    const today = new Date(message.sentAtMs).toDateString();
    if (today !== day) {
      rows.push({ kind: "day", key: `day ${today}`, atMs: message.sentAtMs });
      before = null;
      day = today;
    }
    if (!divided && message.version > (dividerAfter ?? 0) && message.from !== me) {
      rows.push({ kind: "new", key: "new" });
      before = null;
      divided = true;
    }
    rows.push(lineFor(message, conversation.amending, me, before));
    before = message.kind === "message" ? { from: message.from, atMs: message.sentAtMs } : null;
  }
  for (const pending of conversation.pending) {
    rows.push({ kind: "pending", key: pending.key, pending, follows: before?.from === me });
    before = { from: me, atMs: pending.writtenAtMs };
  }
  return rows;
}

function lineFor(
  message: Shown,
  amending: Conversation["amending"],
  me: string,
  before: { from: string; atMs: number } | null,
): Row {
  const key = `v${message.version}`;
  if (message.kind === "rename") return { kind: "note", key, from: message.from, text: message.text };
  const follows = before?.from === message.from && message.sentAtMs - before.atMs < TOGETHER_MS;
  const mine = message.from === me;
  const text = amending.get(message.version);
  if (text === undefined) return { kind: "message", key, message, mine, follows, saving: false };
  const soon = text === null ? { ...message, text: "", media: [], deleted: true } : { ...message, text };
  return { kind: "message", key, message: soon, mine, follows, saving: true };
}
