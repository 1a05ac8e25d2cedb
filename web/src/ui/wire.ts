/** The panel that shows each frame as it travels. */
import type { Gone } from "../chat/log.ts";
import type { ClientFrame, ServerFrame } from "../client/frames.ts";
import type { Direction } from "../client/link.ts";
import { describe } from "../wire/describe.ts";
import type { Call } from "../wire/describe.ts";
import { without } from "../wire/forget.ts";
import { lessonOf } from "../wire/lessons.ts";
import { Trail } from "../wire/trail.ts";
import { byId, make } from "./dom.ts";
import { stamp } from "./times.ts";

type Frame = ClientFrame | ServerFrame;

const FRAMES_MAX = 400;
/** Longer frames are cut in the line; opened, a frame shows all of itself. */
const COMPACT_MAX = 240;
const END_PX = 40;
/** Whether this browser's user closed the explanation. */
const LESSON = "doorbell.lesson";

export class WirePanel {
  private readonly list = byId("frames");
  private readonly lesson = byId<HTMLDetailsElement>("lesson");
  /** What each line shows. */
  private readonly frames = new Map<HTMLElement, { frame: Frame; call: Call | undefined }>();
  private trail = new Trail();
  private count = 0;

  constructor() {
    byId("wire-clear").addEventListener("click", () => this.clear());
    this.lesson.open = localStorage.getItem(LESSON) !== "closed";
    this.lesson.addEventListener("toggle", () => localStorage.setItem(LESSON, this.lesson.open ? "open" : "closed"));
  }

  clear(): void {
    this.list.replaceChildren();
    this.frames.clear();
  }

  add(direction: Direction, frame: Frame): void {
    const number = this.count++;
    const { call, from } = this.trail.place(frame, number);
    const element = this.build(direction, frame, call);
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

  /** A message was deleted: no frame that is kept here says what it was. */
  forget(message: Gone): void {
    for (const [element, { frame, call }] of this.frames) {
      const rest = without(frame, message);
      if (rest === frame) continue;
      this.frames.set(element, { frame: rest, call });
      (element.querySelector(".frame-json") as HTMLElement).textContent = compact(rest);
      const full = element.querySelector(".frame-full");
      if (full !== null) full.textContent = JSON.stringify(rest, null, 2);
    }
  }

  private append(element: HTMLElement): void {
    const { list } = this;
    const atEnd = list.scrollHeight - list.scrollTop - list.clientHeight < END_PX;
    list.append(element);
    while (list.childElementCount > FRAMES_MAX) this.dropFirst();
    if (atEnd) list.scrollTop = list.scrollHeight;
  }

  private dropFirst(): void {
    const first = this.list.firstElementChild as HTMLElement;
    this.frames.delete(first);
    first.remove();
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

  private build(direction: Direction, frame: Frame, call: Call | undefined): HTMLElement {
    const said = describe(direction, frame, call);
    const arrow = make("span", "frame-arrow", direction === "sent" ? "↑" : "↓");
    arrow.title = direction;
    const summary = make(
      "summary",
      "",
      arrow,
      make("span", "frame-label", said.label),
      make("span", "frame-phrase", said.phrase),
      make("code", "frame-json", compact(frame)),
      make("time", "frame-time", stamp(Date.now())),
    );
    const details = make("details", "", summary) as HTMLDetailsElement;
    const element = make("li", "frame", details);
    details.addEventListener("toggle", () => this.unfold(details, element));
    Object.assign(element.dataset, { testid: "frame", kind: said.kind, direction, type: frame.type, label: said.label });
    this.frames.set(element, { frame, call });
    return element;
  }

  /** The whole frame is laid out only when somebody asks for it. */
  private unfold(details: HTMLDetailsElement, element: HTMLElement): void {
    const kept = this.frames.get(element);
    if (!details.open || details.childElementCount > 1 || kept === undefined) return;
    const lesson = lessonOf(kept.frame, kept.call);
    if (lesson !== "") details.append(make("p", "frame-why", lesson));
    details.append(make("pre", "frame-full", JSON.stringify(kept.frame, null, 2)));
  }
}

function previous(element: HTMLElement | null): HTMLElement | null {
  return (element?.previousElementSibling ?? null) as HTMLElement | null;
}

/** The frame in one line, without what its label says already. */
function compact(frame: Frame): string {
  const { type: _, ...rest } = frame;
  const json = JSON.stringify(rest);
  return json.length > COMPACT_MAX ? `${json.slice(0, COMPACT_MAX)}…` : json;
}
