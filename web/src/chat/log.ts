import type { Version } from "../client/frames.ts";
import type { Entry } from "../client/methods.ts";

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
  id: string;
  from: string;
  text: string;
  /** Web addresses. */
  media: string[];
  sentAtMs: number;
  /** Who gave it its present text, where that was not the first. */
  editedBy: string | null;
  deleted: boolean;
}

/** The newest page of a log whose head is `head`; `more` says that older entries exist. */
export function newestPage(head: Version, messages: Entry[], more: boolean): Log {
  const first = messages[0];
  const last = messages.at(-1);
  if (first === undefined || last === undefined) return { after: more ? head : 0, to: head, entries: [] };
  return { after: more ? first.version - 1 : 0, to: last.version, entries: redacted(messages) };
}

/** Adds what came after `log.to`; what is already there is left out. */
export function append(log: Log, messages: Entry[]): Log {
  const fresh = messages.filter((entry) => entry.version > log.to);
  const last = fresh.at(-1);
  if (last === undefined) return log;
  return { after: log.after, to: last.version, entries: redacted([...log.entries, ...fresh]) };
}

/** Adds an older page before `log.after`. */
export function prepend(log: Log, messages: Entry[], more: boolean): Log {
  const older = messages.filter((entry) => entry.version <= log.after);
  const first = older[0];
  const after = more && first !== undefined ? first.version - 1 : 0;
  return { after, to: log.to, entries: redacted([...older, ...log.entries]) };
}

/** What a reader sees: edits replace the text of the message that they name, deletes take it away. */
export function shown(entries: Entry[]): Shown[] {
  const byVersion = new Map<Version, Shown>();
  for (const entry of entries) {
    if (entry.kind === "message" || entry.kind === "rename") byVersion.set(entry.version, asShown(entry, entry.kind));
    else apply(entry, byVersion.get(entry.of ?? 0));
  }
  return [...byVersion.values()];
}

/** One entry after others that may be about it. */
export function amended(entry: Entry, later: Entry[]): Entry {
  const [now] = shown([entry, ...later.filter((one) => one.of === entry.version)]);
  if (now === undefined) return entry;
  return now.deleted ? emptied(entry) : { ...entry, text: now.text };
}

/** A message that is to be known no longer, and all that it ever said as far as this window knew. */
export interface Gone {
  conversation: string;
  version: Version;
  id: string;
  texts: string[];
}

/** What `fresh` deletes of `log`. */
export function goneBy(conversation: string, log: Log, fresh: Entry[]): Gone[] {
  return deletedIn(fresh).flatMap((version) => {
    const about = log.entries.filter((entry) => entry.version === version || (entry.kind === "edit" && entry.of === version));
    const id = about.find((entry) => entry.version === version)?.id;
    const texts = about.map((entry) => entry.text ?? "").filter((text) => text !== "");
    return id === undefined ? [] : [{ conversation, version, id, texts }];
  });
}

function deletedIn(entries: Entry[]): Version[] {
  return entries.filter((entry) => entry.kind === "delete").map((entry) => entry.of ?? 0);
}

/** What was deleted is kept nowhere: neither the message nor what it was edited to. */
function redacted(entries: Entry[]): Entry[] {
  const gone = new Set(deletedIn(entries));
  if (gone.size === 0) return entries;
  const about = (entry: Entry) => (entry.kind === "edit" ? (entry.of ?? 0) : entry.version);
  return entries.map((entry) => (gone.has(about(entry)) && entry.kind !== "delete" ? emptied(entry) : entry));
}

function emptied(entry: Entry): Entry {
  const { text: _, media: __, ...rest } = entry;
  return { ...rest, deleted: true };
}

function apply(entry: Entry, target: Shown | undefined): void {
  if (target === undefined) return;
  if (entry.kind === "delete") {
    target.text = "";
    target.media = [];
    target.deleted = true;
  } else if (entry.kind === "edit" && !target.deleted && entry.deleted !== true) {
    target.text = entry.text ?? target.text;
    target.editedBy = entry.from;
  }
}

function asShown(entry: Entry, kind: Shown["kind"]): Shown {
  const deleted = entry.deleted === true;
  return {
    version: entry.version,
    kind,
    id: entry.id,
    from: entry.from,
    text: deleted ? "" : (entry.text ?? ""),
    media: deleted ? [] : (entry.media ?? []),
    sentAtMs: entry.sent_at_ms,
    editedBy: null,
    deleted,
  };
}
