/** Ties each pull to the hint that caused it. Pure. */
import type { ClientFrame, ServerFrame, Topic } from "../client/frames.ts";
import type { Call } from "./describe.ts";

export interface Placed {
  /** What a reply answers. */
  call: Call | undefined;
  /** The number of the frame that this one follows from: a pull from its hint, an answer from its pull. */
  from: number | null;
}

interface Asked extends Call {
  number: number;
  hinted: boolean;
}

export class Trail {
  /** Topics that were hinted and not pulled since, with the number of the hint's frame. */
  private readonly hinted = new Map<Topic, number>();
  private readonly asked = new Map<number | string, Asked>();

  /** Frames are numbered as they travel. */
  place(frame: ClientFrame | ServerFrame, number: number): Placed {
    if (frame.type === "hint") for (const topic of Object.keys(frame.topics)) this.hinted.set(topic, number);
    if (frame.type === "call") return this.called(frame.id, frame.method, frame.params as Call["params"], number);
    if (frame.type === "subscribe" || frame.type === "unsubscribe") {
      this.asked.set(frame.id, { method: frame.type, params: {}, number, hinted: false });
    }
    if (frame.type === "reply") return this.replied(frame.id);
    return { call: undefined, from: null };
  }

  private called(id: number, method: string, params: Call["params"], number: number): Placed {
    const topics = this.answers(method, params);
    const from = topics.length === 0 ? null : Math.min(...topics.map((topic) => this.hinted.get(topic) ?? number));
    for (const topic of topics) this.hinted.delete(topic);
    this.asked.set(id, { method, params, number, hinted: from !== null });
    return { call: undefined, from };
  }

  private replied(id: number | string): Placed {
    const asked = this.asked.get(id);
    this.asked.delete(id);
    if (asked === undefined) return { call: undefined, from: null };
    return { call: asked, from: asked.hinted ? asked.number : null };
  }

  /** The hinted topics that a call pulls. The list stands for the inbox, and for many conversations at once. */
  private answers(method: string, params: Call["params"]): Topic[] {
    const topics = [...this.hinted.keys()];
    if (method === "conversations.list") return topics.filter((topic) => topic.startsWith("inbox:"));
    if (method === "status.get") {
      const users = Array.isArray(params.users) ? (params.users as string[]) : [];
      return topics.filter((topic) => users.some((user) => topic === `presence:${user}`));
    }
    if (method !== "messages.list" && method !== "conversations.get") return [];
    return topics.filter((topic) => topic === `conversation:${params.conversation}`);
  }
}
