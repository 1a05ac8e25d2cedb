/** How this user wants to be seen: a button in the bar, and the menu behind it. */
import type { Book } from "../chat/book.ts";
import { reason } from "../chat/writer.ts";
import type { ChosenState } from "../client/methods.ts";
import { byId, setText } from "./dom.ts";

export interface MeHooks {
  mine(): Book["mine"];
  save(state: ChosenState, text: string): Promise<void>;
}

const WORDS: Record<ChosenState, string> = {
  // Whoever reads this is there.
  auto: "Online",
  online: "Online",
  away: "Away",
  busy: "Busy",
  invisible: "Invisible",
};
const MARKS: Record<ChosenState, string> = { auto: "online", online: "online", away: "away", busy: "busy", invisible: "offline" };

export class Me {
  private readonly menu = byId("status-menu");
  private readonly form = byId<HTMLFormElement>("status-form");
  private readonly words = byId<HTMLInputElement>("status-words");

  constructor(private readonly hooks: MeHooks) {
    this.menu.addEventListener("toggle", (event) => {
      const opened = (event as ToggleEvent).newState === "open";
      byId("my-status").setAttribute("aria-expanded", String(opened));
      if (opened) this.fill();
    });
    this.form.addEventListener("submit", (event) => {
      event.preventDefault();
      void this.save();
    });
  }

  render(book: Book): void {
    setText(byId("me"), book.me);
    byId("my-status").hidden = !book.features.offers("status");
    const state = book.mine?.state ?? "auto";
    byId("my-presence").dataset.presence = MARKS[state];
    const text = book.mine?.text ?? "";
    setText(byId("my-status-text"), text === "" ? WORDS[state] : text);
  }

  private fill(): void {
    const { state, text } = this.hooks.mine() ?? { state: "auto", text: "" };
    for (const radio of this.radios()) radio.checked = radio.value === state;
    this.words.value = text;
    setText(byId("status-error"), "");
    this.radios().find((radio) => radio.checked)?.focus();
  }

  private async save(): Promise<void> {
    const state = (this.radios().find((radio) => radio.checked)?.value ?? "auto") as ChosenState;
    try {
      await this.hooks.save(state, this.words.value.trim());
      this.menu.hidePopover();
      byId("my-status").focus();
    } catch (error) {
      setText(byId("status-error"), reason(error));
    }
  }

  private radios(): HTMLInputElement[] {
    return [...this.form.querySelectorAll<HTMLInputElement>('input[name="state"]')];
  }
}
