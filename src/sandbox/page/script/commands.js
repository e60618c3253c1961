// The line to write in, and the menu of commands above it.

import { $, make } from "./dom.js";
import { state } from "./known.js";
import { say, unreply } from "./say.js";

export const menu = { all: [], shown: [], at: -1 };

export async function loadMenu() {
  const response = await fetch(`api/menu?user=${state.who}&chat=${state.room.chat}`);
  menu.all = response.ok ? await response.json() : [];
  if (!$("menu").hidden) showMenu(menuWord());
}

const menuWord = () => /^\/(\w*)$/.exec($("text").value)?.[1];

function showMenu(word) {
  menu.shown = word === undefined ? [] : menu.all.filter(({ command }) => command.startsWith(word.toLowerCase()));
  menu.at = Math.min(menu.at, menu.shown.length - 1);
  const options = menu.shown.map(({ command, description }, n) => make("div", {
    role: "option", id: `option-${n}`, "aria-selected": n === menu.at ? "true" : "false",
    onmousedown: (event) => { event.preventDefault(); choose(n); },
  }, make("b", {}, `/${command}`), make("span", {}, description)));
  $("menu").replaceChildren(...options);
  $("menu").hidden = options.length === 0;
  for (const id of ["commands", "text"]) $(id).setAttribute("aria-expanded", String(options.length > 0));
  if (menu.at >= 0) {
    $("text").setAttribute("aria-activedescendant", `option-${menu.at}`);
    $(`option-${menu.at}`).scrollIntoView({ block: "nearest" });
  } else $("text").removeAttribute("aria-activedescendant");
}

function choose(n) {
  const { command } = menu.shown[n];
  hideMenu();
  $("text").value = "";
  say(`/${command}`);
}

function hideMenu() {
  menu.at = -1;
  $("menu").hidden = true;
  for (const id of ["commands", "text"]) $(id).setAttribute("aria-expanded", "false");
  $("text").removeAttribute("aria-activedescendant");
}

function grow() {
  $("text").style.height = "auto";
  $("text").style.height = `${$("text").scrollHeight + 2}px`;
}

$("text").addEventListener("input", () => { grow(); menu.at = -1; showMenu(menuWord()); });

$("text").addEventListener("keydown", (event) => {
  const open = !$("menu").hidden;
  if (open && (event.key === "ArrowDown" || event.key === "ArrowUp")) {
    event.preventDefault();
    const step = event.key === "ArrowDown" ? 1 : -1;
    menu.at = (menu.at + step + menu.shown.length) % menu.shown.length;
    showMenu(menuWord() ?? "");
  } else if (event.key === "Escape") {
    hideMenu();
    unreply();
  } else if (event.key === "Tab" && open && menu.at >= 0) {
    event.preventDefault();
    $("text").value = `/${menu.shown[menu.at].command} `;
    hideMenu();
  } else if (event.key === "Enter" && !event.shiftKey) {
    event.preventDefault();
    if (open && menu.at >= 0) choose(menu.at);
    else $("composer").requestSubmit();
  }
});

$("composer").addEventListener("submit", (event) => {
  event.preventDefault();
  const text = $("text").value.trim();
  $("text").value = "";
  grow();
  hideMenu();
  if (text) say(text);
});

$("commands").addEventListener("click", () => {
  if ($("menu").hidden) showMenu(menuWord() ?? "");
  else hideMenu();
  $("text").focus();
});
