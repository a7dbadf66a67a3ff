/**
 * Build elements by function calls. Text becomes text nodes, without characters that change the writing direction, and
 * styles become custom properties, so the page needs no inline style, no innerHTML and no trusted-types policy.
 * Used by every other module; relies on nothing.
 */

const SVG = "http://www.w3.org/2000/svg";
const SHOWN_TO_PEOPLE = ["title", "aria-label", "placeholder"];

/** Characters that change the writing direction: in a subject or a name they would also reorder the text beside it. */
const TURNING = /[\u202a-\u202e\u2066-\u2069]/g;

/** Make an HTML element: `h("a", {class: "x", href: "#", on: {click}}, "text", node, [more])`. */
export function h(name, props, ...children) {
  return build(document.createElement(name), props, children);
}

/** Make an SVG element the same way. */
export function s(name, props, ...children) {
  return build(document.createElementNS(SVG, name), props, children);
}

function build(element, props, children) {
  for (const [key, value] of Object.entries(props ?? {})) setProp(element, key, value);
  append(element, children);
  return element;
}

function setProp(element, key, value) {
  if (value === undefined || value === null || value === false) return;
  if (key === "on") {
    for (const [type, listener] of Object.entries(value)) element.addEventListener(type, listener);
  } else if (key === "vars") {
    for (const [name, text] of Object.entries(value)) element.style.setProperty(name, String(text));
  } else if (key === "data") {
    for (const [name, text] of Object.entries(value)) element.dataset[name] = text;
  } else {
    element.setAttribute(key, attribute(key, value));
  }
}

/** Addresses and values stay as they are; what people read is cleaned. */
function attribute(key, value) {
  if (value === true) return "";
  return SHOWN_TO_PEOPLE.includes(key) ? harmless(value) : String(value);
}

function harmless(text) {
  return String(text).replace(TURNING, "");
}

/** Append strings, numbers, nodes and nested lists; skip null, undefined and false. */
function append(element, children) {
  for (const child of [children].flat(Infinity)) {
    if (child === null || child === undefined || child === false) continue;
    element.append(child instanceof Node ? child : harmless(child));
  }
}

/** Replace all children. */
export function fill(element, ...children) {
  element.replaceChildren();
  append(element, children);
  return element;
}

/**
 * Make the children look like `children`, changing only what differs: focus, scroll and selection survive. For parts
 * that are redrawn while people look at them; they must not contain elements with event listeners.
 */
export function update(element, ...children) {
  const wanted = document.createDocumentFragment();
  append(wanted, children);
  matchChildren(element, wanted);
  return element;
}

/**
 * The same for rows with a key (`data-key`): each row keeps its element when others are inserted before it or removed,
 * so focus and scroll position stay with it.
 */
export function updateRows(element, rows) {
  const wanted = new Set(rows.map((row) => row.dataset.key));
  for (const old of [...element.children]) if (!wanted.has(old.dataset.key)) old.remove();
  const there = new Map([...element.children].map((old) => [old.dataset.key, old]));
  let place = element.firstElementChild;
  for (const row of rows) {
    const old = there.get(row.dataset.key);
    if (old) {
      matchAttributes(old, row);
      matchChildren(old, row);
    }
    if (old && old === place) place = place.nextElementSibling;
    else element.insertBefore(old ?? row, place);
  }
}

function matchChildren(old, wanted) {
  const fresh = [...wanted.childNodes];
  fresh.forEach((node, index) => {
    const there = old.childNodes[index];
    if (!there) old.append(node);
    else if (there.nodeName !== node.nodeName) there.replaceWith(node);
    else if (there.nodeType === Node.TEXT_NODE) setText(there, node.textContent);
    else {
      matchAttributes(there, node);
      matchChildren(there, node);
    }
  });
  while (old.childNodes.length > fresh.length) old.lastChild.remove();
}

function matchAttributes(old, wanted) {
  for (const { name } of [...old.attributes]) if (!wanted.hasAttribute(name)) old.removeAttribute(name);
  for (const { name, value } of wanted.attributes) {
    // The CSP forbids style attributes, not the style object.
    if (name === "style") old.style.cssText = wanted.style.cssText;
    else if (old.getAttribute(name) !== value) old.setAttribute(name, value);
  }
}

/** Set text only if it differs, so that an idle page stays idle and a selection survives. */
export function setText(element, text) {
  const wanted = harmless(text);
  if (element.textContent !== wanted) element.textContent = wanted;
}
