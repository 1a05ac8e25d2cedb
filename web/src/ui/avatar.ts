/** A name's picture: its letter, in a colour that stays with it. */
import { hueOf, initialOf } from "../chat/words.ts";
import { setText } from "./dom.ts";

const HUES = 8;

export function paintAvatar(avatar: HTMLElement, name: string, group: boolean): void {
  avatar.dataset.hue = hueName(name);
  avatar.dataset.shape = group ? "group" : "person";
  setText(avatar, initialOf(name));
}

export function hueName(name: string): string {
  return String(hueOf(name, HUES));
}
