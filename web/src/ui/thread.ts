/** The open conversation: its lines, and where the reader stands in them. */
import type { Book } from "../chat/book.ts";
import { isGroup } from "../chat/conversation.ts";
import type { Conversation } from "../chat/conversation.ts";
import { mayChange } from "../chat/rights.ts";
import { rowsOf } from "../chat/rows.ts";
import { byId, reconcile, setText } from "./dom.ts";
import { renderHead } from "./head.ts";
import { buildRow, updateRow } from "./row.ts";
import type { RowActions } from "./row.ts";

/** Closer to the end than this counts as reading the end. */
const END_PX = 60;
const OLDER_PX = 300;

export interface ThreadHooks extends RowActions {
  older(): void;
  /** The reader came to the end, or left it. */
  moved(): void;
}

export class Thread {
  private readonly box = byId("messages");
  private readonly rows = byId("rows");
  private readonly jump = byId("jump");
  private shownId: string | null = null;
  private sticky = true;
  /** The button of a message that had the focus last. */
  private lastUsed: HTMLElement | null = null;

  constructor(private readonly hooks: ThreadHooks) {
    this.box.addEventListener("scroll", () => this.scrolled(), { passive: true });
    this.jump.addEventListener("click", () => this.toEnd());
    this.rows.addEventListener("keydown", (event) => this.walked(event));
    this.rows.addEventListener("focusin", (event) => this.rove(event.target as HTMLElement));
    new ResizeObserver(() => this.sticky && this.toEnd()).observe(this.box);
  }

  get atEnd(): boolean {
    return this.sticky;
  }

  toEnd(): void {
    this.sticky = true;
    this.box.scrollTop = this.box.scrollHeight;
    this.hooks.moved();
  }

  render(book: Book): void {
    const open = book.open;
    byId("thread-open").hidden = open === null;
    byId("thread-empty").hidden = open !== null;
    if (open === null) {
      this.shownId = null;
      return;
    }
    if (this.shownId !== open.id) {
      this.shownId = open.id;
      this.sticky = true;
      this.rows.replaceChildren();
    }
    renderHead(open, book);
    this.renderRows(open, book);
  }

  /** The version of the newest message that this user wrote and may change. */
  newestOwn(): number | null {
    const newest = [...this.rows.querySelectorAll<HTMLElement>(".row.mine:not(.pending)")].at(-1);
    const menu = newest?.querySelector<HTMLElement>(".row-menu");
    return newest === undefined || menu == null || menu.hidden ? null : Number(newest.dataset.version);
  }

  private renderRows(open: Conversation, book: Book): void {
    // What is added above must not push what the reader is looking at.
    const anchor = this.sticky ? undefined : this.firstInView();
    const before = anchor?.getBoundingClientRect().top ?? 0;
    const group = isGroup(open, book.me);
    reconcile(
      this.rows,
      rowsOf(open, book.me, book.dividerAfter),
      (row) => row.key,
      (row) => buildRow(row, group, this.hooks),
      (element, row) => updateRow(element, row, ({ message }) => mayChange(message, open, book.me, book.features)),
    );
    this.rove(null);
    if (this.sticky) this.box.scrollTop = this.box.scrollHeight;
    else if (anchor !== undefined) this.box.scrollTop += anchor.getBoundingClientRect().top - before;
    this.renderJump(open);
    if (this.box.scrollHeight <= this.box.clientHeight) this.hooks.older();
  }

  /** All the messages' buttons are one stop of the Tab key: the one last used, or else the newest. */
  private rove(focused: HTMLElement | null): void {
    if (focused?.classList.contains("row-menu")) this.lastUsed = focused;
    const menus = this.menus();
    const now = menus.find((menu) => menu === this.lastUsed) ?? menus.at(-1);
    for (const menu of menus) menu.tabIndex = menu === now ? 0 : -1;
  }

  private walked(event: KeyboardEvent): void {
    const menus = this.menus();
    const at = menus.indexOf(event.target as HTMLElement);
    const step = { ArrowUp: -1, ArrowDown: 1 }[event.key];
    if (at < 0 || step === undefined) return;
    event.preventDefault();
    menus[at + step]?.focus();
  }

  private menus(): HTMLElement[] {
    return [...this.rows.querySelectorAll<HTMLElement>(".row-menu:not([hidden])")];
  }

  /** The topmost message that is seen, in part or whole. */
  private firstInView(): Element | undefined {
    const top = this.box.getBoundingClientRect().top;
    const messages = [...this.rows.querySelectorAll(".row")];
    return messages.find((message) => message.getBoundingClientRect().bottom > top);
  }

  private renderJump(open: Conversation): void {
    this.jump.hidden = this.sticky;
    setText(byId("jump-text"), open.unread > 0 ? `${open.unread} new` : "Latest");
  }

  private scrolled(): void {
    const toEnd = this.box.scrollHeight - this.box.scrollTop - this.box.clientHeight;
    const sticky = toEnd < END_PX;
    if (sticky !== this.sticky) {
      this.sticky = sticky;
      this.hooks.moved();
    }
    if (this.box.scrollTop < OLDER_PX) this.hooks.older();
  }
}
