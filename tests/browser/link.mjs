// The network between a browser and the server: a TCP proxy that can be cut, with and without a word.
import { connect, createServer } from "node:net";

export class Link {
  #pairs = new Set();
  #state = "whole";
  #server;

  /** A link to the server at `url`, itself at `link.url`. */
  static async to(url) {
    const link = new Link();
    const port = Number(new URL(url).port);
    link.#server = createServer((near) => link.#accept(near, port));
    await new Promise((resolve) => link.#server.listen(0, "127.0.0.1", resolve));
    link.url = `http://127.0.0.1:${link.#server.address().port}`;
    return link;
  }

  /** Every connection breaks, and new ones do too. */
  cut() {
    this.#state = "cut";
    for (const { near, far } of this.#pairs) {
      near.destroy();
      far.destroy();
    }
  }

  /** Nothing comes through any more, and nobody is told. */
  silence() {
    this.#state = "silent";
    for (const { near, far } of this.#pairs) {
      near.pause();
      far.pause();
    }
  }

  /** What the browser sends arrives, and nothing comes back. */
  muffle() {
    for (const { far } of this.#pairs) far.pause();
  }

  /** New connections work again; what was silenced stays lost. */
  mend() {
    this.cut();
    this.#state = "whole";
  }

  close() {
    this.cut();
    return new Promise((resolve) => this.#server.close(resolve));
  }

  #accept(near, port) {
    near.on("error", () => {});
    if (this.#state === "cut") return near.destroy();
    const far = connect(port, "127.0.0.1");
    const pair = { near, far };
    this.#pairs.add(pair);
    far.on("error", () => near.destroy());
    for (const [one, other] of [[near, far], [far, near]]) {
      one.on("data", (data) => other.write(data));
      one.on("end", () => other.end());
      one.on("close", () => {
        other.destroy();
        this.#pairs.delete(pair);
      });
    }
    if (this.#state === "silent") this.silence();
  }
}
