/** Says how the connection is. */
import type { State } from "../client/client.ts";
import { byId, setText } from "./dom.ts";

const WORDS: Record<State["name"], string> = {
  connecting: "Connecting",
  "catching up": "Catching up",
  live: "Live",
  waiting: "Reconnecting",
  stopped: "Stopped",
};

export class StatusPill {
  private until = 0;
  private timer: ReturnType<typeof setInterval> | undefined;

  constructor(reconnect: () => void) {
    byId("status-now").addEventListener("click", reconnect);
  }

  show(state: State): void {
    byId("status").dataset.state = state.name.replace(" ", "-");
    setText(byId("status-text"), state.name === "live" && state.moving ? "Moving" : WORDS[state.name]);
    byId("status-now").hidden = state.name !== "waiting";
    clearInterval(this.timer);
    if (state.name === "waiting") {
      this.until = performance.now() + state.forMs;
      this.timer = setInterval(() => this.count(), 200);
    }
    this.count(state.name === "waiting");
  }

  /** The seconds are for the eye alone: read out each second they would be noise. */
  private count(waiting = true): void {
    const left = Math.ceil((this.until - performance.now()) / 1000);
    setText(byId("status-count"), waiting && left > 0 ? `in ${left} s` : "");
  }
}

/** What the writer of a message should know, if anything. */
export function noticeFor(state: State): string {
  if (state.name === "waiting" || state.name === "connecting") {
    return "Not connected. What you write is kept and sent when the connection is back.";
  }
  return "";
}

/** Why the session is over, for the one who wanted it. */
export function farewell(state: Extract<State, { name: "stopped" }>): string {
  switch (state.why) {
    case "refused":
      return "The server did not accept the token. Come in again.";
    case "replaced":
      return "You are signed in in too many places, and this one was the first to go.";
    case "forbidden":
      return "The server does not let you in.";
    case "protocol":
      return `This page and the server do not understand each other${state.detail === "" ? "" : `: ${state.detail}`}.`;
    case "no token":
      return state.detail;
    case "left":
      return "";
  }
}
