/** The menu of one message: edit, delete. One for all messages; arrow keys move in it, Escape leaves it. */
import { byId } from "./dom.ts";

export interface MessageMenuHooks {
  edit(version: number): void;
  remove(version: number): void;
}

const GAP_PX = 4;

export class MessageMenu {
  private readonly menu = byId("message-menu");
  private readonly items = [byId("menu-edit"), byId("menu-delete")];
  private version = 0;
  private opener: HTMLElement | null = null;

  constructor(hooks: MessageMenuHooks) {
    byId("menu-edit").addEventListener("click", () => this.choose(hooks.edit));
    byId("menu-delete").addEventListener("click", () => this.choose(hooks.remove));
    this.menu.addEventListener("keydown", (event) => this.moved(event));
    this.menu.addEventListener("toggle", (event) => {
      const open = (event as ToggleEvent).newState === "open";
      this.opener?.setAttribute("aria-expanded", String(open));
    });
  }

  /** Opens beside the button of a message. */
  open(version: number, opener: HTMLElement): void {
    this.version = version;
    this.opener = opener;
    this.menu.showPopover();
    this.place(opener.getBoundingClientRect());
    this.items[0]?.focus();
  }

  private choose(act: (version: number) => void): void {
    this.menu.hidePopover();
    this.opener?.focus();
    act(this.version);
  }

  /** Below the button, or above it where there is no room; never beyond the window. */
  private place(button: DOMRect): void {
    const { width, height } = this.menu.getBoundingClientRect();
    const below = button.bottom + GAP_PX;
    const top = below + height < innerHeight ? below : button.top - height - GAP_PX;
    const left = Math.min(Math.max(GAP_PX, button.right - width), innerWidth - width - GAP_PX);
    this.menu.style.top = `${Math.max(GAP_PX, top)}px`;
    this.menu.style.left = `${left}px`;
  }

  private moved(event: KeyboardEvent): void {
    const { items } = this;
    const at = items.indexOf(document.activeElement as HTMLElement);
    const next: Record<string, number> = { ArrowDown: at + 1, ArrowUp: at - 1, Home: 0, End: items.length - 1 };
    if (event.key === "Tab") {
      this.menu.hidePopover();
      this.opener?.focus();
      return;
    }
    const to = next[event.key];
    if (to === undefined) return;
    event.preventDefault();
    items[(to + items.length) % items.length]?.focus();
  }
}
