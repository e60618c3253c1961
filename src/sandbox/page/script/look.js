// The theme, and the tabs of a narrow page.

import { $ } from "./dom.js";
import { stay } from "./log.js";
import { readColors } from "./paint.js";
import { draw } from "./flights.js";

const dark = matchMedia("(prefers-color-scheme: dark)");
let theme = "auto";
try { theme = localStorage.getItem("theme") || "auto"; } catch { /* storage may be forbidden */ }

export function applyTheme() {
  document.documentElement.dataset.theme = theme === "auto" ? (dark.matches ? "dark" : "light") : theme;
  $("theme").textContent = `Theme: ${theme}`;
  readColors();
  draw();
}

dark.addEventListener("change", applyTheme);

$("theme").addEventListener("click", () => {
  theme = { auto: "light", light: "dark", dark: "auto" }[theme];
  try { localStorage.setItem("theme", theme); } catch { /* then it lasts as long as the page */ }
  applyTheme();
});

const tabs = [...document.querySelectorAll("[role=tab]")];
// As style.css has it: one part of the page at a time.
const phone = matchMedia("(max-width: 820px), (max-height: 500px)");

function namePanels() {
  for (const tab of tabs) {
    const panel = $(tab.getAttribute("aria-controls"));
    for (const [name, value] of [["role", "tabpanel"], ["aria-labelledby", tab.id]]) {
      if (phone.matches) panel.setAttribute(name, value);
      else panel.removeAttribute(name);
    }
  }
}

phone.addEventListener("change", namePanels);
namePanels();

export function openTab(tab) {
  for (const other of tabs) {
    other.setAttribute("aria-selected", String(other === tab));
    other.tabIndex = other === tab ? 0 : -1;
  }
  document.querySelector("main").dataset.tab = tab.getAttribute("aria-controls");
  stay();
}

for (const tab of tabs) {
  tab.addEventListener("click", () => openTab(tab));
  tab.addEventListener("keydown", (event) => {
    const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    if (!step) return;
    const next = tabs[(tabs.indexOf(tab) + step + tabs.length) % tabs.length];
    openTab(next);
    next.focus();
  });
}
