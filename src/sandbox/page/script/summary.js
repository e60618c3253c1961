// How many nodes are overloaded, in numbers and in words.

import { $, speak } from "./dom.js";
import { isOver, world } from "./world.js";
import { map, reveal, revealUnasked } from "./map.js";
import { flights } from "./flights.js";
import { chooseNode, showDetail, showTable } from "./nodes.js";
import { openTab } from "./look.js";
import { showSteps } from "./tour.js";

let spokenOver = "";

export function showSummary() {
  const over = [...world.nodes.values()].filter(isOver);
  $("counts").textContent = `${world.nodes.size} nodes · ${world.vms.size} VMs`;
  $("over").textContent = over.length ? `▲ ${over.length} overloaded` : "none overloaded";
  $("over").disabled = over.length === 0;
  const added = over.find((node) => !map.over.includes(node.id));
  map.over = over.map((node) => node.id);
  if (added && world.order.length && !flights.size) requestAnimationFrame(() => revealUnasked([added.id]));
  const overNames = over.length > 5 ? `${over.length} nodes` : over.map((node) => node.name).join(", ");
  if (spokenOver !== overNames) speak(over.length ? `Overloaded: ${overNames}` : "No node is overloaded");
  spokenOver = overNames;
  const minutes = Math.floor(world.hour * 60);
  $("clock").textContent = `day time ${String(Math.floor(minutes / 60)).padStart(2, "0")}:${String(minutes % 60).padStart(2, "0")}`;
  if (map.chosen) showDetail();
  showSteps();
  showTable();
}

// Goes through the overloaded nodes, one at each press.
$("over").addEventListener("click", () => {
  const over = world.order.filter((id) => isOver(world.nodes.get(id)));
  if (!over.length) return;
  openTab($("tab-clusters"));
  const next = over[(over.indexOf(map.chosen) + 1) % over.length];
  if (next !== map.chosen) chooseNode(next);
  reveal([next]);
});
