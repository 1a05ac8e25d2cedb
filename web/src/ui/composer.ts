/** The field in which messages are written. Each conversation keeps its own draft. */
import { lengthOf } from "../chat/words.ts";
import { byId, setText } from "./dom.ts";

/** The server's limit, in Unicode scalar values. */
const LENGTH_MAX = 10_000;
/** The count appears when this many are left. */
const COUNT_FROM = 500;
const HEIGHT_MAX_PX = 160;

export class Composer {
  private readonly draft = byId<HTMLTextAreaElement>("draft");
  private readonly drafts = new Map<string, string>();
  private openId: string | null = null;

  constructor(private readonly send: (text: string) => void) {
    byId("composer").addEventListener("submit", (event) => {
      event.preventDefault();
      this.submit();
    });
    this.draft.addEventListener("input", () => this.fit());
    this.draft.addEventListener("keydown", (event) => {
      if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
      event.preventDefault();
      this.submit();
    });
  }

  /** Changes to another conversation's draft. */
  open(id: string | null): void {
    if (id === this.openId) return;
    if (this.openId !== null) this.drafts.set(this.openId, this.draft.value);
    this.openId = id;
    this.draft.value = id === null ? "" : (this.drafts.get(id) ?? "");
    this.fit();
  }

  private submit(): void {
    const text = this.draft.value.trim();
    if (text === "" || lengthOf(text) > LENGTH_MAX) return;
    this.draft.value = "";
    this.fit();
    this.send(text);
  }

  private fit(): void {
    const { draft } = this;
    draft.style.height = "auto";
    draft.style.height = `${Math.min(draft.scrollHeight, HEIGHT_MAX_PX)}px`;
    const left = LENGTH_MAX - lengthOf(draft.value.trim());
    const over = left < 0;
    setText(byId("draft-left"), over ? `${-left} too many` : left <= COUNT_FROM ? `${left} left` : "");
    draft.setAttribute("aria-invalid", String(over));
  }
}
