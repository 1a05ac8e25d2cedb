/** Everything behind the door: ties the session to what is seen. Built once; sessions come and go. */
import type { Conversation } from "./chat/conversation.ts";
import { unreadTotal } from "./chat/conversation.ts";
import type { Gone } from "./chat/log.ts";
import { shown } from "./chat/log.ts";
import { ignoreUntilNextTime } from "./chat/reader.ts";
import type { State } from "./client/client.ts";
import type { Entry } from "./client/methods.ts";
import { Session } from "./session.ts";
import type { TokenSource } from "./token.ts";
import { Composer } from "./ui/composer.ts";
import { confirmed } from "./ui/confirm.ts";
import { Details } from "./ui/details.ts";
import { NewDialog } from "./ui/dialog.ts";
import { byId, setText } from "./ui/dom.ts";
import { Layout } from "./ui/layout.ts";
import { renderList } from "./ui/list.ts";
import { Me } from "./ui/me.ts";
import { MessageMenu } from "./ui/message-menu.ts";
import { StatusPill, farewell, noticeFor } from "./ui/status.ts";
import { Thread } from "./ui/thread.ts";
import { toast } from "./ui/toast.ts";
import { WirePanel } from "./ui/wire.ts";

/** What is shown and not hinted is never older than this. */
const WORDS_AGE_MS = 30_000;

export class Page {
  private session: Session | null = null;
  private renderQueued = false;
  /** The conversation that the user is leaving: its end is no news. */
  private leaving: string | null = null;
  private readonly layout = new Layout(
    () => this.select(null),
    () => this.details.closed(),
  );
  private readonly status = new StatusPill(() => this.session?.nudge());
  private readonly wire = new WirePanel();
  private readonly me = new Me({
    mine: () => this.session?.book.mine ?? null,
    save: async (state, text) => this.session?.reader.people.setMine(state, text),
  });
  private readonly composer = new Composer({
    send: (text) => this.send(text),
    edit: (version, text) => this.session?.writer.edit(version, text),
    editLast: () => this.edit(this.thread.newestOwn()),
    typing: () => this.session?.writer.typing(performance.now()),
  });
  private readonly menu = new MessageMenu({
    edit: (version) => this.edit(version),
    remove: (version) => void this.remove(version),
  });
  private readonly thread = new Thread({
    older: () => void this.session?.reader.loadOlder().catch(ignoreUntilNextTime),
    moved: () => this.changed(),
    retry: (key) => this.session?.writer.retry(key),
    discard: (key) => this.session?.writer.discard(key),
    menu: (version, opener) => this.menu.open(version, opener),
  });
  private readonly details = this.makeDetails();

  /** `leave` shows the door again, with the reason where there is one. */
  constructor(private readonly leave: (message: string) => void) {
    new NewDialog({
      me: () => this.session?.book.me ?? "",
      create: async (beginning) => this.session?.organizer.create(beginning),
      created: () => this.select(this.session?.book.openId ?? null),
    });
    byId("leave").addEventListener("click", () => this.session?.stop());
    byId("list-more").addEventListener("click", () => {
      void this.session?.reader.loadMoreConversations().catch(ignoreUntilNextTime);
    });
    this.listen();
  }

  private listen(): void {
    addEventListener("focus", () => this.changed());
    addEventListener("online", () => this.session?.nudge());
    addEventListener("offline", () => this.session?.nudge());
    document.addEventListener("visibilitychange", () => {
      if (document.visibilityState === "visible") this.session?.nudge();
      this.changed();
    });
    setInterval(() => this.aged(), WORDS_AGE_MS);
  }

  /** What no hint tells of: how long ago somebody was seen, who else came into a group, how many of a large one are there. */
  private aged(): void {
    const open = this.session?.book.open;
    const seen = document.visibilityState === "visible" && (this.details.isOpen || open?.online != null);
    if (seen && open != null) void this.session?.reader.refresh(open.id).catch(ignoreUntilNextTime);
    this.changed();
  }

  private makeDetails(): Details {
    return new Details({
      book: () => this.session?.book ?? null,
      opened: (id) => void this.session?.reader.refresh(id).catch(ignoreUntilNextTime),
      rename: async (id, title) => this.session?.organizer.rename(id, title),
      label: async (id, label) => this.session?.organizer.label(id, label),
      mute: async (id, muted) => this.session?.organizer.mute(id, muted),
      add: async (id, users) => this.session?.organizer.addMembers(id, users),
      remove: async (id, user) => this.session?.organizer.removeMember(id, user),
      moreMembers: async (id) => this.session?.reader.loadMoreMembers(id),
      leave: async (id) => {
        this.leaving = id;
        await this.session?.organizer.leave(id);
        this.select(null);
      },
    });
  }

  enter(tokens: TokenSource, device: string): void {
    const url = `${location.protocol === "https:" ? "wss" : "ws"}://${location.host}/v1/ws`;
    this.layout.show();
    this.session = new Session(url, device, tokens, {
      changed: () => this.changed(),
      attentive: () => this.attentive(),
      arrived: (conversation, entries) => announce(conversation, entries),
      state: (state) => this.showState(state),
      gone: (message) => this.forget(message),
      refused: (why) => toast(why),
      closed: (code, reason, welcomed) => this.wire.note(closedNote(code, reason, welcomed)),
      frame: (direction, frame) => {
        this.wire.add(direction, frame);
        if (frame.type === "hint") ringBell();
      },
    });
    this.session.start();
    this.changed();
  }

  private showState(state: State): void {
    this.status.show(state);
    byId("app").dataset.live = String(state.name === "live");
    const notice = noticeFor(state);
    setText(byId("notice"), notice);
    byId("notice").hidden = notice === "";
    if (state.name === "stopped") this.end(farewell(state));
    this.changed();
  }

  private end(message: string): void {
    this.select(null);
    this.session = null;
    this.layout.hide();
    byId("list").replaceChildren();
    this.wire.clear();
    document.title = "Doorbell";
    this.leave(message);
  }

  private select(id: string | null): void {
    this.layout.setView(id === null ? "list" : "thread");
    void this.session?.reader.show(id).catch(ignoreUntilNextTime);
    // Drawn now, so that the field for a message is there to take the focus.
    this.render();
    if (id !== null) this.layout.focusThread();
  }

  /** The open conversation is the user's no longer: somebody removed them, or they left it elsewhere. */
  private ousted(): void {
    if (this.session?.book.openId !== this.leaving) toast("You are no longer in this conversation.");
    this.select(null);
  }

  private send(text: string): void {
    this.session?.writer.send(text);
    this.thread.toEnd();
  }

  private edit(version: number | null): void {
    const message = this.find(version);
    const me = this.session?.book.me;
    if (message !== undefined) this.composer.edit(message.version, message.text, message.from === me ? "your message" : `the message of ${message.from}`);
  }

  private async remove(version: number): Promise<void> {
    const text = "It goes for everybody, and nobody can bring it back.";
    if (await confirmed({ title: "Delete this message?", text, yes: "Delete" })) this.session?.writer.remove(version);
    byId("messages").focus();
  }

  private find(version: number | null) {
    return shown(this.session?.book.open?.log?.entries ?? []).find((one) => one.version === version);
  }

  /** What was deleted stays neither on the panel nor in what is read aloud. */
  private forget(message: Gone): void {
    this.wire.forget(message);
    const announced = byId("announcer").textContent ?? "";
    if (message.texts.some((text) => announced.includes(text))) setText(byId("announcer"), "");
  }

  private attentive(): boolean {
    return document.visibilityState === "visible" && document.hasFocus() && this.thread.atEnd && !this.details.isOpen;
  }

  /** Many changes come at once: they are drawn together. */
  private changed(): void {
    if (this.renderQueued) return;
    this.renderQueued = true;
    // Not an animation frame: a window in the background gets none, and its title counts what is unread.
    setTimeout(() => {
      this.renderQueued = false;
      this.render();
    });
  }

  private render(): void {
    const { session } = this;
    if (session === null) return;
    const { book } = session;
    session.reader.people.follow();
    if (book.openId !== null && book.listLoaded && book.open === null) this.ousted();
    this.me.render(book);
    renderList(book, (id) => this.select(id));
    this.thread.render(book);
    this.details.render(book);
    this.composer.open(book.openId);
    const unread = unreadTotal(book.conversations.values());
    document.title = unread > 0 ? `(${unread}) Doorbell` : "Doorbell";
    if (this.attentive()) session.writer.seen();
  }
}

/** 1006 is the browser's word for a socket that ended, or never began, without a close frame. */
function closedNote(code: number, reason: string, welcomed: boolean): string {
  if (code === 1006) return welcomed ? "connection lost" : "could not connect";
  return `socket closed: ${code}${reason === "" ? "" : `, ${reason}`}`;
}

/** Read out by a screen reader, whatever the reader of the page is doing. */
function announce(conversation: Conversation, entries: Entry[]): void {
  const last = entries.at(-1);
  if (last === undefined) return;
  const text = entries.length === 1 ? `${last.from}: ${last.text ?? ""}` : `${entries.length} new messages`;
  setText(byId("announcer"), conversation.title === null ? text : `${conversation.title}, ${text}`);
}

function ringBell(): void {
  const bell = byId("bell");
  bell.classList.remove("ring");
  // Reading a size between the two makes the animation start again.
  bell.getBoundingClientRect();
  bell.classList.add("ring");
}
