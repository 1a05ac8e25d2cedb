/** The open conversation: its head, its lines, and where the reader stands in them. */
import type { Book } from "../chat/book.ts";
import { nameOf } from "../chat/conversation.ts";
import type { Conversation } from "../chat/conversation.ts";
import { rowsOf } from "../chat/rows.ts";
import { byId, reconcile, setText } from "./dom.ts";
import { isGroup, paintAvatar } from "./list.ts";
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

  constructor(private readonly hooks: ThreadHooks) {
    this.box.addEventListener("scroll", () => this.scrolled(), { passive: true });
    this.jump.addEventListener("click", () => this.toEnd());
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
    this.renderHead(open, book.me);
    this.renderRows(open, book);
  }

  private renderHead(open: Conversation, me: string): void {
    const name = nameOf(open, me);
    const group = isGroup(open, me);
    setText(byId("thread-title"), name);
    setText(byId("thread-members"), group ? open.members.join(", ") : "");
    paintAvatar(byId("thread-avatar"), name, group);
    const start = open.log === null ? "Loading…" : open.log.after > 0 ? "Loading earlier messages…" : group ? `This is the beginning of ${name}.` : `This is the beginning of your conversation with ${name}.`;
    setText(byId("messages-start"), start);
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
      (element, row) => updateRow(element, row),
    );
    if (this.sticky) this.box.scrollTop = this.box.scrollHeight;
    else if (anchor !== undefined) this.box.scrollTop += anchor.getBoundingClientRect().top - before;
    this.renderJump(open);
    if (this.box.scrollHeight <= this.box.clientHeight) this.hooks.older();
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
