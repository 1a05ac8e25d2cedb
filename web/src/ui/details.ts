/** What there is to know and to change about the open conversation, in place of its messages. */
import type { Book } from "../chat/book.ts";
import { isGroup } from "../chat/conversation.ts";
import type { Conversation } from "../chat/conversation.ts";
import { mayAdd, mayLeave, mayRename } from "../chat/rights.ts";
import { namesIn } from "../chat/words.ts";
import { reason } from "../chat/writer.ts";
import { confirmed } from "./confirm.ts";
import { byId, setText } from "./dom.ts";
import { renderMembers } from "./members.ts";

export interface DetailsHooks {
  book(): Book | null;
  /** Members are in no log: they are read when somebody looks. */
  opened(id: string): void;
  rename(id: string, title: string): Promise<void>;
  label(id: string, label: string): Promise<void>;
  mute(id: string, muted: boolean): Promise<void>;
  add(id: string, users: string[]): Promise<void>;
  remove(id: string, user: string): Promise<void>;
  moreMembers(id: string): Promise<void>;
  leave(id: string): Promise<void>;
}

export class Details {
  private readonly section = byId("details");
  private readonly toggle = byId("details-toggle");
  private readonly title = byId<HTMLInputElement>("rename");
  private readonly label = byId<HTMLInputElement>("label");
  private readonly add = byId<HTMLInputElement>("add");
  private shownId: string | null = null;

  constructor(private readonly hooks: DetailsHooks) {
    this.toggle.addEventListener("click", () => (this.isOpen ? this.close() : this.open()));
    byId("details-close").addEventListener("click", () => this.close());
    this.section.addEventListener("keydown", (event) => {
      if (event.key === "Escape") this.close();
    });
    this.onSubmit("rename-form", (id) => hooks.rename(id, this.title.value.trim()));
    this.onSubmit("label-form", (id) => hooks.label(id, this.label.value.trim()));
    this.onSubmit("add-form", (id) => this.addNamed(id));
    byId("mute").addEventListener("click", () => this.act((id) => hooks.mute(id, byId("mute").ariaChecked !== "true")));
    byId("members-more").addEventListener("click", () => this.act((id) => hooks.moreMembers(id)));
    byId("leave-group").addEventListener("click", () => void this.leave());
  }

  get isOpen(): boolean {
    return !this.section.hidden;
  }

  render(book: Book): void {
    const { open } = book;
    this.toggle.hidden = open === null || !book.features.offers("groups");
    if (open === null || open.id !== this.shownId) this.show(false);
    if (open === null || !this.isOpen) return;
    const group = isGroup(open, book.me);
    this.fill(this.title, open.title ?? "");
    this.fill(this.label, open.label ?? "");
    byId("rename-form").hidden = !mayRename(open, book.me, book.features);
    byId("add-form").hidden = !mayAdd(open, book.me, book.features);
    byId("leave-group").hidden = !mayLeave(open, book.me, book.features);
    byId("mute").setAttribute("aria-checked", String(open.muted));
    setText(byId("members-count"), group ? String(open.memberCount) : "");
    setText(byId("members-note"), group ? noteOn(open, book.me) : "");
    byId("members-more").hidden = open.members.length >= open.memberCount;
    renderMembers(open, book, (user) => void this.remove(user));
  }

  /** Closes it where it is open, and says whether it was. */
  closed(): boolean {
    const open = this.isOpen;
    if (open) this.close();
    return open;
  }

  private open(): void {
    const id = this.hooks.book()?.openId ?? null;
    if (id === null) return;
    this.shownId = id;
    this.show(true);
    setText(byId("details-error"), "");
    this.add.value = "";
    for (const field of [this.title, this.label]) delete field.dataset.known;
    this.hooks.opened(id);
    byId("details-title").focus();
  }

  private close(): void {
    this.show(false);
    this.toggle.focus();
  }

  private show(open: boolean): void {
    this.section.hidden = !open;
    byId("thread-open").dataset.pane = open ? "details" : "messages";
    this.toggle.setAttribute("aria-expanded", String(open));
    const book = this.hooks.book();
    if (open && book !== null) this.render(book);
  }

  /** What somebody else changed appears, but not over what is being written. */
  private fill(field: HTMLInputElement, value: string): void {
    if (field.dataset.known === value) return;
    field.dataset.known = value;
    field.value = value;
  }

  private async addNamed(id: string): Promise<void> {
    const users = namesIn(this.add.value, this.hooks.book()?.me ?? "");
    if (users.length === 0) throw new Error("Name somebody other than yourself.");
    await this.hooks.add(id, users);
    this.add.value = "";
  }

  private async remove(user: string): Promise<void> {
    const text = `${user} will see neither this conversation nor what is written in it from now on.`;
    if (!(await confirmed({ title: `Remove ${user}?`, text, yes: "Remove" }))) return;
    await this.act((id) => this.hooks.remove(id, user));
    byId("members-title").focus();
  }

  private async leave(): Promise<void> {
    const text = "You will no longer see it. Somebody in it can add you again.";
    if (await confirmed({ title: "Leave this conversation?", text, yes: "Leave" })) await this.act((id) => this.hooks.leave(id));
  }

  private onSubmit(form: string, act: (id: string) => Promise<void>): void {
    byId(form).addEventListener("submit", (event) => {
      event.preventDefault();
      void this.act(act);
    });
  }

  private async act(act: (id: string) => Promise<void>): Promise<void> {
    const id = this.shownId;
    if (id === null) return;
    setText(byId("details-error"), "");
    try {
      await act(id);
    } catch (error) {
      setText(byId("details-error"), reason(error));
    }
  }
}

function noteOn(open: Conversation, me: string): string {
  if (!open.closed) return "";
  return open.owner === me ? "Closed: only you can add members and change the title." : `Closed: only ${open.owner} can add members and change the title.`;
}
