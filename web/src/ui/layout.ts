/** What is shown where: on a phone one pane at a time, the wire panel beside or above the rest. */
import { byId } from "./dom.ts";

const WIDE = matchMedia("(min-width: 1100px)");
const PHONE = matchMedia("(max-width: 719px)");
const OPENED = "thread";

export class Layout {
  private readonly app = byId("app");
  private readonly toggle = byId("wire-toggle");

  /** `inner` closes what lies over the conversation, and says whether anything did: one step back at a time. */
  constructor(back: () => void, inner: () => boolean) {
    this.toggle.addEventListener("click", () => this.setWire(this.app.dataset.wire !== "open"));
    byId("wire-close").addEventListener("click", () => {
      this.setWire(false);
      this.toggle.focus();
    });
    document.addEventListener("keydown", (event) => {
      if (event.key === "Escape" && !WIDE.matches && this.app.dataset.wire === "open") this.setWire(false);
    });
    // On a phone an opened conversation is a step forward, which the browser's own back button undoes.
    byId("back").addEventListener("click", () => {
      if (inner()) return;
      if (history.state === OPENED) history.back();
      else back();
    });
    addEventListener("popstate", () => {
      if (this.app.dataset.view === "thread" && history.state !== OPENED) back();
    });
  }

  /** Where there is room the panel is open from the start: it is what this page is for. */
  show(): void {
    this.app.hidden = false;
    this.setWire(WIDE.matches);
  }

  hide(): void {
    this.app.hidden = true;
  }

  setView(view: "list" | "thread"): void {
    const before = this.app.dataset.view;
    this.app.dataset.view = view;
    if (view === "thread" && before !== "thread" && PHONE.matches) history.pushState(OPENED, "");
  }

  /** Ready to write; on a phone that would bring up the keyboard before anything is read. */
  focusThread(): void {
    byId(PHONE.matches ? "thread-title" : "draft").focus();
  }

  private setWire(open: boolean): void {
    this.app.dataset.wire = open ? "open" : "closed";
    this.toggle.setAttribute("aria-expanded", String(open));
    // Hidden, it could not follow what came.
    const frames = byId("frames");
    if (open) frames.scrollTop = frames.scrollHeight;
  }
}
