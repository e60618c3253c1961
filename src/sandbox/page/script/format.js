// Text with entities. Text from messages only ever becomes text nodes and the elements its entities name.

import { copy, make, pressable } from "./dom.js";
import { say } from "./say.js";

function elementFor(entity, text) {
  switch (entity.type) {
    case "bold": return make("b");
    case "italic": return make("i");
    case "underline": return make("u");
    case "strikethrough": return make("s");
    case "spoiler": return pressable("span", { class: "spoiler", "aria-label": "Show the hidden text" }, (span) => {
      span.classList.add("open");
      for (const name of ["role", "tabindex", "aria-label"]) span.removeAttribute(name);
    });
    case "code": return pressable("code", { title: "Copy", "aria-label": `${text}, copy` }, () => copy(text));
    case "pre": return make("pre");
    case "blockquote": return make("blockquote");
    case "expandable_blockquote": return pressable("blockquote", { class: "long", "aria-expanded": "false" }, (quote) => {
      quote.setAttribute("aria-expanded", String(quote.classList.toggle("open")));
    });
    case "text_link": return linkTo(entity.url);
    case "url": return linkTo(/^\w+:\/\//.test(text) ? text : `http://${text}`);
    case "email": return linkTo(`mailto:${text}`);
    case "mention": case "hashtag": return make("span", { class: entity.type });
    case "bot_command": return make("button", { type: "button", class: "command", onclick: () => say(text) });
    default: return make("span");
  }
}

function linkTo(address) {
  const safe = /^(https?|ftp|tg|mailto):/i.test(address);
  return safe ? make("a", { href: address, target: "_blank", rel: "noopener noreferrer" }) : make("span");
}

function fill(parent, text, entities, start, end) {
  let at = start;
  while (entities.length && entities[0].offset < end) {
    const entity = entities.shift();
    const stop = Math.min(end, entity.offset + entity.length);
    if (entity.offset < at || stop <= entity.offset) continue;
    if (entity.offset > at) parent.append(text.slice(at, entity.offset));
    const element = elementFor(entity, text.slice(entity.offset, stop));
    fill(element, text, entities, entity.offset, stop);
    parent.append(element);
    at = stop;
  }
  if (at < end) parent.append(text.slice(at, end));
}

export function formatted(message) {
  const body = make("div", { class: "body" });
  fill(body, message.text, message.entities.slice(), 0, message.text.length);
  return body;
}
