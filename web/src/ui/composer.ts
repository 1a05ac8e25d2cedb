/** The field in which messages are written, and changed. Each conversation keeps its own draft. */
import { lengthOf } from "../chat/words.ts";
import { byId, setText } from "./dom.ts";

/** The server's limit, in Unicode scalar values. */
const LENGTH_MAX = 10_000;
/** The count appears when this many are left. */
const COUNT_FROM = 500;
const HEIGHT_MAX_PX = 160;

export interface ComposerHooks {
  send(text: string): void;
  /** A message gets this text instead of the one that it had. */
  edit(version: number, text: string): void;
  /** The arrow up in an empty field: the user wants to change what was written last. */
  editLast(): void;
  typing(): void;
}

/** A message that is being changed, and what was in the field before. */
interface Editing {
  version: number;
  before: string;
  draft: string;
}

export class Composer {
  private readonly draft = byId<HTMLTextAreaElement>("draft");
  private readonly drafts = new Map<string, string>();
  private openId: string | null = null;
  private editing: Editing | null = null;

  constructor(private readonly hooks: ComposerHooks) {
    byId("composer").addEventListener("submit", (event) => {
      event.preventDefault();
      this.submit();
    });
    byId("editing-cancel").addEventListener("click", () => this.endEditing());
    this.draft.addEventListener("input", () => {
      this.fit();
      if (this.draft.value.trim() !== "" && this.editing === null) hooks.typing();
    });
    this.draft.addEventListener("keydown", (event) => this.pressed(event));
  }

  /** Changes to another conversation's draft. */
  open(id: string | null): void {
    if (id === this.openId) return;
    this.endEditing(false);
    if (this.openId !== null) this.drafts.set(this.openId, this.draft.value);
    this.openId = id;
    this.draft.value = id === null ? "" : (this.drafts.get(id) ?? "");
    this.fit();
  }

  /** Puts a message into the field, to be changed there. */
  edit(version: number, text: string, whose: string): void {
    const draft = this.editing?.draft ?? this.draft.value;
    this.editing = { version, before: text, draft };
    this.draft.value = text;
    byId("editing").hidden = false;
    setText(byId("editing-text"), `Editing ${whose}`);
    this.fit();
    this.draft.focus();
    this.draft.setSelectionRange(text.length, text.length);
  }

  private endEditing(focus = true): void {
    if (this.editing === null) return;
    this.draft.value = this.editing.draft;
    this.editing = null;
    byId("editing").hidden = true;
    setText(byId("editing-text"), "");
    this.fit();
    if (focus) this.draft.focus();
  }

  private pressed(event: KeyboardEvent): void {
    if (event.isComposing) return;
    if (event.key === "Escape" && this.editing !== null) this.endEditing();
    else if (event.key === "ArrowUp" && this.draft.value === "") {
      event.preventDefault();
      this.hooks.editLast();
    } else if (event.key === "Enter" && !event.shiftKey) {
      event.preventDefault();
      this.submit();
    }
  }

  private submit(): void {
    const text = this.draft.value.trim();
    if (text === "" || lengthOf(text) > LENGTH_MAX) return;
    const { editing } = this;
    if (editing === null) {
      this.draft.value = "";
      this.fit();
      return this.hooks.send(text);
    }
    this.endEditing();
    if (text !== editing.before) this.hooks.edit(editing.version, text);
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
