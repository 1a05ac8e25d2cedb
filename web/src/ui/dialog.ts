/** The dialog that starts a conversation. */
import type { Beginning } from "../chat/organizer.ts";
import { namesIn } from "../chat/words.ts";
import { byId, setText } from "./dom.ts";

export interface DialogHooks {
  me(): string;
  create(beginning: Beginning): Promise<void>;
  /** The dialog is closed, and the focus free. */
  created(): void;
}

export class NewDialog {
  private readonly dialog = byId<HTMLDialogElement>("new-dialog");
  private readonly members = byId<HTMLInputElement>("new-members");
  private readonly title = byId<HTMLInputElement>("new-name");
  private readonly closed = byId<HTMLInputElement>("new-closed");

  constructor(private readonly hooks: DialogHooks) {
    byId("new").addEventListener("click", () => this.show());
    byId("new-cancel").addEventListener("click", () => this.dialog.close());
    this.members.addEventListener("input", () => this.fit());
    byId("new-form").addEventListener("submit", (event) => {
      event.preventDefault();
      void this.submit();
    });
  }

  private show(): void {
    this.members.value = "";
    this.title.value = "";
    this.closed.checked = false;
    setText(byId("new-error"), "");
    this.fit();
    this.busy(false);
    this.dialog.showModal();
    this.members.focus();
  }

  /** A title is for more than two. */
  private fit(): void {
    byId("new-title-field").hidden = this.names().length < 2;
  }

  private names(): string[] {
    return namesIn(this.members.value, this.hooks.me());
  }

  private async submit(): Promise<void> {
    const names = this.names();
    if (names.length === 0) return setText(byId("new-error"), "Name somebody other than yourself.");
    this.busy(true);
    setText(byId("new-error"), "");
    try {
      const group = names.length > 1;
      const title = group ? this.title.value.trim() : "";
      await this.hooks.create({ members: names, title, closed: group && this.closed.checked });
      this.dialog.close();
      this.hooks.created();
    } catch (error) {
      setText(byId("new-error"), error instanceof Error ? error.message : String(error));
    }
    this.busy(false);
  }

  private busy(busy: boolean): void {
    const submit = byId<HTMLButtonElement>("new-submit");
    submit.disabled = busy;
    setText(submit, busy ? "Starting…" : "Start");
  }
}
