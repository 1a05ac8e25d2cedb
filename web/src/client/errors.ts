import type { ErrorBody } from "./frames.ts";

/** The server answered a call with an error. */
export class CallError extends Error {
  readonly code: string;
  readonly retryAfterMs: number | undefined;

  constructor(body: ErrorBody) {
    super(body.message);
    this.name = "CallError";
    this.code = body.code;
    this.retryAfterMs = body.retry_after_ms;
  }
}

/** The socket went before the answer came: the call may or may not have been carried out. */
export class Unanswered extends Error {
  constructor(why: string) {
    super(why);
    this.name = "Unanswered";
  }
}

/** The client stopped for good; what it still had to send was not sent. */
export class Stopped extends Error {
  constructor() {
    super("the client has stopped");
    this.name = "Stopped";
  }
}
