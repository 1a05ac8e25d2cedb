/** The few helpers that stand between this page and the DOM. */

export function byId<T extends HTMLElement = HTMLElement>(id: string): T {
  const found = document.getElementById(id);
  if (found === null) throw new Error(`the page has no #${id}`);
  return found as T;
}

export function make(tag: string, className: string, ...children: (Node | string)[]): HTMLElement {
  const element = document.createElement(tag);
  if (className !== "") element.className = className;
  element.append(...children);
  return element;
}

export function button(className: string, text: string, onClick: () => void): HTMLButtonElement {
  const element = make("button", className, text) as HTMLButtonElement;
  element.type = "button";
  element.addEventListener("click", onClick);
  return element;
}

const SVG = "http://www.w3.org/2000/svg";

/** One of the page's own symbols; the words beside it say what it means. */
export function icon(name: string, className = ""): SVGElement {
  const use = document.createElementNS(SVG, "use");
  use.setAttribute("href", `#icon-${name}`);
  const svg = document.createElementNS(SVG, "svg");
  if (className !== "") svg.setAttribute("class", className);
  svg.setAttribute("aria-hidden", "true");
  svg.append(use);
  return svg;
}

/** Sets text only where it differs, so that nothing is announced or selected anew. */
export function setText(element: Element, text: string): void {
  if (element.textContent !== text) element.textContent = text;
}

/** One element an item, kept while its key stays: focus and selection survive a change elsewhere in the list. */
export function reconcile<T>(
  parent: HTMLElement,
  items: T[],
  keyOf: (item: T) => string,
  build: (item: T) => HTMLElement,
  update: (element: HTMLElement, item: T) => void,
): void {
  const old = new Map<string, HTMLElement>();
  for (const child of parent.children) old.set((child as HTMLElement).dataset.key ?? "", child as HTMLElement);
  let place: Element | null = parent.firstElementChild;
  for (const item of items) {
    const key = keyOf(item);
    const known = old.get(key);
    old.delete(key);
    const element = known ?? build(item);
    element.dataset.key = key;
    update(element, item);
    if (element === place) place = place.nextElementSibling;
    else parent.insertBefore(element, place);
  }
  for (const gone of old.values()) gone.remove();
}
