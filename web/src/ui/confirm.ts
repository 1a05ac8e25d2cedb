/** Asks before what cannot be taken back. */
import { byId, setText } from "./dom.ts";

export interface Question {
  title: string;
  text: string;
  yes: string;
}

/** Whether the user wants it. Escape means no, and the focus goes back to where it was. */
export function confirmed(question: Question): Promise<boolean> {
  const dialog = byId<HTMLDialogElement>("confirm");
  setText(byId("confirm-title"), question.title);
  setText(byId("confirm-text"), question.text);
  setText(byId("confirm-yes"), question.yes);
  dialog.returnValue = "no";
  dialog.showModal();
  return new Promise((resolve) => {
    dialog.addEventListener("close", () => resolve(dialog.returnValue === "yes"), { once: true });
  });
}
