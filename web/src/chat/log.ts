import type { Version } from "../client/frames.ts";

/** One entry of a conversation's log, as `messages.list` gives it. */
export interface Entry {
  version: Version;
  kind: "message" | "edit" | "delete" | "rename";
  of?: Version;
  id: string;
  from: string;
  text?: string;
  sent_at_ms: number;
  deleted?: boolean;
}

/** An unbroken piece of a log: every entry with a version in (`after`, `to`]. */
export interface Log {
  after: Version;
  to: Version;
  entries: Entry[];
}

/** A message as it reads after the edits and deletes that follow it. */
export interface Shown {
  version: Version;
  kind: "message" | "rename";
  from: string;
  text: string;
  sentAtMs: number;
  edited: boolean;
  deleted: boolean;
}

/** The newest page of a log whose head is `head`; `more` says that older entries exist. */
export function newestPage(head: Version, messages: Entry[], more: boolean): Log {
  const first = messages[0];
  const last = messages.at(-1);
  if (first === undefined || last === undefined) return { after: more ? head : 0, to: head, entries: [] };
  return { after: more ? first.version - 1 : 0, to: last.version, entries: messages };
}

/** Adds what came after `log.to`; what is already there is left out. */
export function append(log: Log, messages: Entry[]): Log {
  const fresh = messages.filter((entry) => entry.version > log.to);
  const last = fresh.at(-1);
  if (last === undefined) return log;
  return { after: log.after, to: last.version, entries: [...log.entries, ...fresh] };
}

/** Adds an older page before `log.after`. */
export function prepend(log: Log, messages: Entry[], more: boolean): Log {
  const older = messages.filter((entry) => entry.version <= log.after);
  const first = older[0];
  const after = more && first !== undefined ? first.version - 1 : 0;
  return { after, to: log.to, entries: [...older, ...log.entries] };
}

/** What a reader sees: edits replace the text of the message that they name, deletes take it away. */
export function shown(entries: Entry[]): Shown[] {
  const byVersion = new Map<Version, Shown>();
  for (const entry of entries) {
    const target = entry.of === undefined ? undefined : byVersion.get(entry.of);
    if (entry.kind === "message" || entry.kind === "rename") {
      byVersion.set(entry.version, asShown(entry, entry.kind));
    } else if (entry.kind === "edit" && target !== undefined && !target.deleted) {
      target.text = entry.text ?? target.text;
      target.edited = true;
    } else if (entry.kind === "delete" && target !== undefined) {
      target.text = "";
      target.deleted = true;
    }
  }
  return [...byVersion.values()];
}

function asShown(entry: Entry, kind: Shown["kind"]): Shown {
  return {
    version: entry.version,
    kind,
    from: entry.from,
    text: entry.text ?? "",
    sentAtMs: entry.sent_at_ms,
    edited: false,
    deleted: entry.deleted === true,
  };
}
