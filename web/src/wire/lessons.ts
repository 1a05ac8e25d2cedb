/** Why a frame is there, for somebody who sees the protocol for the first time. Pure. */
import type { ClientFrame, ServerFrame } from "../client/frames.ts";
import type { Call } from "./describe.ts";

const OF_FRAMES: Record<string, string> = {
  hello: "The first frame of every session: who I am. The token is not shown here.",
  welcome: "The session is registered. From now on every change is hinted; what came before, topics.changes shows.",
  token: "Sessions outlive tokens: a fresh one goes over the same socket.",
  subscribe: "A user’s own conversations are followed by the server itself. This asks for more: who is there.",
  unsubscribe: "These are not shown any more, so nobody needs to ring for them.",
  signal: "Passes by: not stored, not repeated, at most once. So it may carry content, and nothing depends on it.",
  goaway: "This server is about to stop. A new socket opens first, and only then is the old one left: nothing is missed.",
  ping: "A browser’s page cannot see the WebSocket’s own pings, so it sends one of its own when it hears nothing.",
  pong: "The connection is alive.",
  error: "About a frame that has no id to be answered by.",
};

const OF_METHODS: Record<string, string> = {
  "topics.changes": "The cursor is a place in everything that concerns me. After any break one question finds all that I missed.",
  "messages.list": "The pull. It names the version I have, so it can be repeated and never brings anything twice or leaves anything out.",
  "conversations.list": "Many conversations changed, or the list itself: one question instead of many.",
  "conversations.get": "A conversation changed that is not open here: only its line in the list is read.",
  "conversations.mark_read": "The greatest version wins, so repeating it is harmless. My other windows are rung.",
  "conversations.create": "The key makes it happen once, however often it is sent.",
  "conversations.update": "The title is for all, and becomes an entry of the log. Label and mute are mine alone.",
  "members.add": "Whoever comes in is rung on their inbox, and finds the conversation in their list.",
  "members.remove": "Whoever leaves is rung a last time, and no longer finds it.",
  "messages.send": "Answered when it is on the disk. The key makes it count once, even if the answer is lost and it is sent again.",
  "messages.edit": "An edit is an entry of its own: the log only grows, and whoever pulls it sees the message change.",
  "messages.delete": "A delete is an entry of its own. The message stays as an entry without content.",
  "status.get": "The pull that follows the hint of a person: a hint only said that something about them is new.",
  "status.set": "Moves the version of my presence; whoever follows it is rung.",
};

const HINT = "It names a topic and a version, never content. So it may come late, twice, or merged with the next one, and nothing is lost: the pull brings everything.";
const PACED = " Many are rung at once here: each is told to wait a little, so that their pulls do not come as one wave.";

/** `call` is what a reply answers, where it is known. */
export function lessonOf(frame: ClientFrame | ServerFrame, call: Call | undefined): string {
  if (frame.type === "hint") return HINT + ((frame.pull_after_ms ?? 0) > 0 ? PACED : "");
  if (frame.type === "call") return OF_METHODS[frame.method] ?? "";
  if (frame.type === "reply") return OF_METHODS[call?.method ?? ""] ?? OF_FRAMES[call?.method ?? ""] ?? "";
  return OF_FRAMES[frame.type] ?? "";
}
