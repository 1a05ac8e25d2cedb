/** The mark that says whether somebody is there: its form says it as well as its colour. */
import type { Person } from "../chat/presence.ts";

/** Shows nothing where nothing is known. */
export function paintPresence(mark: HTMLElement, person: Person | undefined): void {
  mark.hidden = person === undefined;
  if (person !== undefined) mark.dataset.presence = person.presence;
}
