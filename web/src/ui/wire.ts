/** The panel that shows each frame as it travels. */
import type { ClientFrame, ServerFrame } from "../client/frames.ts";
import type { Direction } from "../client/link.ts";
import { describe } from "../wire/describe.ts";
import { Trail } from "../wire/trail.ts";
import { byId, make } from "./dom.ts";
import { stamp } from "./times.ts";

const FRAMES_MAX = 400;
/** Longer frames are cut in the line; opened, a frame shows all of itself. */
const COMPACT_MAX = 240;
const END_PX = 40;

export class WirePanel {
  private readonly list = byId("frames");
  private trail = new Trail();
  private count = 0;

  constructor() {
    byId("wire-clear").addEventListener("click", () => this.clear());
  }

  clear(): void {
    this.list.replaceChildren();
  }

  add(direction: Direction, frame: ClientFrame | ServerFrame): void {
    const number = this.count++;
    const { call, from } = this.trail.place(frame, number);
    const element = build(direction, frame, describe(direction, frame, call));
    element.dataset.number = String(number);
    this.append(element);
    if (from !== null) this.tie(from);
  }

  /** Says what happened between the frames; what happens again and again is counted in one line. */
  note(text: string): void {
    const last = this.list.lastElementChild as HTMLElement | null;
    if (last?.dataset.note !== text) {
      const element = make("li", "wire-note", text);
      Object.assign(element.dataset, { note: text, times: "1" });
      return this.append(element);
    }
    const times = Number(last.dataset.times) + 1;
    last.dataset.times = String(times);
    last.textContent = `${text}, ${times} times`;
  }

  private append(element: HTMLElement): void {
    const { list } = this;
    const atEnd = list.scrollHeight - list.scrollTop - list.clientHeight < END_PX;
    list.append(element);
    while (list.childElementCount > FRAMES_MAX) list.firstElementChild?.remove();
    if (atEnd) list.scrollTop = list.scrollHeight;
  }

  /** Draws the rail from frame number `from` down to the newest one, past what came between. */
  private tie(from: number): void {
    let element = this.list.lastElementChild as HTMLElement | null;
    element?.classList.add("rail-above", "rail-dot");
    for (element = previous(element); element !== null; element = previous(element)) {
      element.classList.add("rail-below");
      if (Number(element.dataset.number) <= from) break;
      element.classList.add("rail-above");
    }
    element?.classList.add("rail-dot");
  }
}

function previous(element: HTMLElement | null): HTMLElement | null {
  return (element?.previousElementSibling ?? null) as HTMLElement | null;
}

function build(direction: Direction, frame: ClientFrame | ServerFrame, said: ReturnType<typeof describe>): HTMLElement {
  const json = compact(frame);
  const arrow = make("span", "frame-arrow", direction === "sent" ? "↑" : "↓");
  arrow.title = direction;
  const summary = make(
    "summary",
    "",
    arrow,
    make("span", "frame-label", said.label),
    make("span", "frame-phrase", said.phrase),
    make("code", "frame-json", json.length > COMPACT_MAX ? `${json.slice(0, COMPACT_MAX)}…` : json),
    make("time", "frame-time", stamp(Date.now())),
  );
  const details = make("details", "", summary);
  details.addEventListener("toggle", () => unfold(details as HTMLDetailsElement, frame));
  const element = make("li", "frame", details);
  Object.assign(element.dataset, { testid: "frame", kind: said.kind, direction, type: frame.type, label: said.label });
  return element;
}

/** The frame in one line, without what its label says already. */
function compact(frame: ClientFrame | ServerFrame): string {
  const { type: _, ...rest } = frame;
  return JSON.stringify(rest);
}

/** The whole frame is laid out only when somebody asks for it. */
function unfold(details: HTMLDetailsElement, frame: object): void {
  if (details.open && details.childElementCount === 1) {
    details.append(make("pre", "frame-full", JSON.stringify(frame, null, 2)));
  }
}
