/** Small pure pieces of text handling. */

export interface Piece {
  text: string;
  href: string | null;
}

const LINK = /https?:\/\/[^\s<>"']+/g;

/** Splits a message into plain text and web links; punctuation that ends a sentence is no part of a link. */
export function pieces(text: string): Piece[] {
  const found: Piece[] = [];
  let end = 0;
  for (const match of text.matchAll(LINK)) {
    const link = match[0].replace(/[.,;:!?)\]]+$/, "");
    if (match.index > end) found.push({ text: text.slice(end, match.index), href: null });
    found.push({ text: link, href: link });
    end = match.index + link.length;
  }
  if (end < text.length) found.push({ text: text.slice(end), href: null });
  return found;
}

/** The links that a page may lead to: http and https, and nothing that a browser would run. */
export function webLinks(media: string[]): string[] {
  return media.filter((link) => {
    try {
      return ["http:", "https:"].includes(new URL(link).protocol);
    } catch {
      return false;
    }
  });
}

/** The names in "bob, carol": trimmed, each once, without `me`. */
export function namesIn(text: string, me: string): string[] {
  const names = text.split(",").map((name) => name.trim());
  return [...new Set(names)].filter((name) => name !== "" && name !== me);
}

/** A number from 0 to `count - 1` that stays with a name: the colour of its avatar. */
export function hueOf(name: string, count: number): number {
  let hash = 7;
  for (const char of name) hash = (hash * 31 + (char.codePointAt(0) ?? 0)) % 65_521;
  return hash % count;
}

export function initialOf(name: string): string {
  const first = [...name.trim()][0] ?? "?";
  return first.toLocaleUpperCase();
}

/** Unicode scalar values, as the server counts them. */
export function lengthOf(text: string): number {
  return [...text].length;
}
