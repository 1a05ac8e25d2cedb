/** Takes what was deleted out of frames that were kept to be looked at. Pure. */
import type { Gone } from "../chat/log.ts";

/** What stands where a deleted content stood. */
const MARK = "(deleted)";
const CONTENT = new Set(["text", "media", "meta"]);

/** The same value without the content of `gone`; the very same object where it had none. */
export function without<T>(value: T, gone: Gone): T {
  if (typeof value !== "object" || value === null) return value;
  const hers = says(value as Record<string, unknown>, gone);
  let changed = false;
  const copy: Record<string, unknown> = {};
  for (const [name, inner] of Object.entries(value)) {
    const kept = hers && CONTENT.has(name) ? MARK : without(inner, gone);
    changed ||= kept !== inner;
    copy[name] = kept;
  }
  if (!changed) return value;
  return (Array.isArray(value) ? Object.values(copy) : copy) as T;
}

/** The message itself, an edit of it, or the call that made one of them. */
function says(value: Record<string, unknown>, gone: Gone): boolean {
  if (value.id === gone.id && "version" in value) return true;
  if (typeof value.text !== "string" || !gone.texts.includes(value.text)) return false;
  return value.of === gone.version || value.conversation === gone.conversation;
}
