// What a newcomer waits for or does next, and the captions of the tour.

import { $ } from "./dom.js";
import { log } from "./log.js";
import { world } from "./world.js";
import { map } from "./map.js";

// The steps are hidden once a person closes them, and while a tour speaks.
let stepsWanted = true;
try { stepsWanted = localStorage.getItem("steps") !== "off"; } catch { /* storage may be forbidden */ }

export function showSteps() {
  $("steps").hidden = !stepsWanted || !$("tour").hidden;
  const isMoving = world.tasks.some((task) => task.status === "running" || task.status === "created");
  const isProposed = log.querySelector(".keys [data-press^='p:'][data-press$=':a']") !== null;
  const at = isMoving ? 3 : isProposed ? 2 : map.over.length ? 1 : 0;
  [...$("steps").querySelectorAll("li")].forEach((step, n) => {
    if (n === at) step.setAttribute("aria-current", "step");
    else step.removeAttribute("aria-current");
  });
}

$("steps").querySelector("button").addEventListener("click", () => {
  stepsWanted = false;
  try { localStorage.setItem("steps", "off"); } catch { /* then until the page is opened again */ }
  showSteps();
  $("text").focus();
});

export function takeTour({ step, steps, text }) {
  $("tour").hidden = !text;
  $("tour").textContent = text ? `${step}/${steps} ${text}` : "";
  showSteps();
}
