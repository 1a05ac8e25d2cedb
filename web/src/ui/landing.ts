/** The door: a name where the server hands out tokens, a token where it does not. */
import { NoToken } from "../client/client.ts";
import { DemoOff, demoTokens, pastedToken } from "../token.ts";
import type { TokenSource } from "../token.ts";
import { byId, setText } from "./dom.ts";

export class Landing {
  private readonly name = byId<HTMLInputElement>("name");
  private readonly token = byId<HTMLInputElement>("token");

  constructor(private readonly enter: (tokens: TokenSource, name: string | null) => void) {
    byId("name-form").addEventListener("submit", (event) => {
      event.preventDefault();
      void this.withName();
    });
    byId("use-token").addEventListener("click", () => {
      this.askForToken();
      this.show("");
    });
    byId("token-form").addEventListener("submit", (event) => {
      event.preventDefault();
      const token = this.token.value.trim();
      this.token.value = "";
      if (token !== "") this.enter(pastedToken(token), null);
    });
  }

  show(message: string): void {
    byId("landing").hidden = false;
    setText(byId("landing-error"), message);
    const field = byId("name-form").hidden ? this.token : this.name;
    field.focus();
  }

  hide(): void {
    byId("landing").hidden = true;
  }

  /** The server asks for tokens: the field for a name would lead nowhere. */
  askForToken(): void {
    byId("name-form").hidden = true;
    byId("token-form").hidden = false;
  }

  private async withName(): Promise<void> {
    const name = this.name.value.trim();
    if (name === "") return;
    const tokens = demoTokens(name);
    setText(byId("landing-error"), "");
    try {
      await tokens(false);
      this.enter(tokens, name);
    } catch (error) {
      if (error instanceof DemoOff) this.askForToken();
      this.show(whyNot(error));
    }
  }
}

function whyNot(error: unknown): string {
  if (error instanceof NoToken) return error.message;
  return "The server does not answer. Try again in a moment.";
}
