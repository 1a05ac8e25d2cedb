/** Everything behind the door: ties the session to what is seen. Built once; sessions come and go. */
import type { Conversation } from "./chat/conversation.ts";
import { unreadTotal } from "./chat/conversation.ts";
import type { Entry } from "./chat/log.ts";
import { ignoreUntilNextTime } from "./chat/reader.ts";
import type { State } from "./client/client.ts";
import { Session } from "./session.ts";
import type { TokenSource } from "./token.ts";
import { Composer } from "./ui/composer.ts";
import { NewDialog } from "./ui/dialog.ts";
import { byId, setText } from "./ui/dom.ts";
import { Layout } from "./ui/layout.ts";
import { renderList } from "./ui/list.ts";
import { StatusPill, farewell, noticeFor } from "./ui/status.ts";
import { Thread } from "./ui/thread.ts";
import { WirePanel } from "./ui/wire.ts";

export class Page {
  private session: Session | null = null;
  private renderQueued = false;
  private readonly layout = new Layout(() => this.select(null));
  private readonly status = new StatusPill(() => this.session?.nudge());
  private readonly wire = new WirePanel();
  private readonly composer = new Composer((text) => this.send(text));
  private readonly thread = new Thread({
    older: () => void this.session?.reader.loadOlder().catch(ignoreUntilNextTime),
    moved: () => this.changed(),
    retry: (key) => this.session?.writer.retry(key),
    discard: (key) => this.session?.writer.discard(key),
  });

  /** `leave` shows the door again, with the reason where there is one. */
  constructor(private readonly leave: (message: string) => void) {
    new NewDialog({
      me: () => this.session?.book.me ?? "",
      create: async (members, title) => this.session?.writer.create(members, title),
      created: () => this.select(this.session?.book.openId ?? null),
    });
    byId("leave").addEventListener("click", () => this.session?.stop());
    byId("list-more").addEventListener("click", () => {
      void this.session?.reader.loadMoreConversations().catch(ignoreUntilNextTime);
    });
    addEventListener("focus", () => this.changed());
    addEventListener("online", () => this.session?.nudge());
    addEventListener("offline", () => this.session?.nudge());
    document.addEventListener("visibilitychange", () => {
      if (document.visibilityState === "visible") this.session?.nudge();
      this.changed();
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

  private send(text: string): void {
    this.session?.writer.send(text);
    this.thread.toEnd();
  }

  private attentive(): boolean {
    return document.visibilityState === "visible" && document.hasFocus() && this.thread.atEnd;
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
    setText(byId("me"), book.me);
    renderList(book, (id) => this.select(id));
    this.thread.render(book);
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
