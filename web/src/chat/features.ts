/** What the server in front of this page offers. Pure. */
import { CallError } from "../client/errors.ts";
import type { ErrorFrame, Limits } from "../client/frames.ts";
import type { Summary } from "../client/methods.ts";

/** `groups`: names, labels, mute, members. `edits`: of messages, and their deletion. */
export type Feature = "groups" | "edits" | "presence" | "status" | "typing";

const REFUSALS = new Set(["unsupported", "unknown_method", "unknown_type"]);

/**
 * Nothing is asked only to find out: what the server says anyway shows what it is able to do, and what it then refuses
 * is not offered again in this session.
 */
export class Features {
  private readonly refused = new Set<Feature>();
  private subscriptions = 0;
  private countsMembers = false;
  private knowsPeople = false;

  /** A new session: perhaps with another version of the server. */
  welcomed(limits: Limits | undefined): void {
    this.refused.clear();
    this.subscriptions = limits?.subscriptions ?? 0;
  }

  /** A server that counts a conversation's members is one that lets them change. */
  saw(summary: Summary): void {
    if (summary.member_count !== undefined) this.countsMembers = true;
  }

  /** Whether it may know who is there: one that follows nothing for anybody does not. */
  get mayKnowPeople(): boolean {
    return this.subscriptions > 0 && !this.refused.has("status");
  }

  /** It said how this user is seen. */
  sawStatus(): void {
    this.knowsPeople = true;
  }

  offers(feature: Feature): boolean {
    if (this.refused.has(feature)) return false;
    switch (feature) {
      case "groups":
      case "edits":
        return this.countsMembers;
      case "typing":
        // Only a signal could find out more: one that is refused is the last.
        return this.subscriptions > 0;
      case "presence":
      case "status":
        return this.mayKnowPeople && this.knowsPeople;
    }
  }

  /** Whether the error says that the server does not have this at all. */
  learn(feature: Feature, error: unknown): boolean {
    const without = error instanceof CallError && REFUSALS.has(error.code);
    if (without) this.refused.add(feature);
    return without;
  }

  /** Only signals are answered by a frame without an id. Whether anything changed by it. */
  learnFrom(frame: ErrorFrame): boolean {
    if (!REFUSALS.has(frame.code) || this.refused.has("typing")) return false;
    this.refused.add("typing");
    return true;
  }
}
