// What is known of the simulated clusters, and how full their nodes are. Draws nothing.

import { state } from "./known.js";

// `dirty` holds the nodes that must be drawn again.
export const world = { nodes: new Map(), vms: new Map(), clusters: new Map(), order: [], tasks: [], hour: 0, dirty: new Set() };
// VMs whose migration runs.
export const travelling = new Set();
export const limits = () => ({ memory: state.about.memory_threshold ?? 70, cpu: state.about.cpu_threshold ?? 7, load: state.about.load_threshold ?? 1 });
export const percent = (node) => (node.mib ? (node.used * 100) / node.mib : 0);
// Where load is measured, it replaces the allocated vCPUs, as it does for the bot.
const isBusy = (node) => (state.about.measured ? node.load > limits().load : node.vcpus / node.cores > limits().cpu);
export const isOver = (node) => percent(node) > limits().memory || isBusy(node);
export const gib = (mib) => (mib / 1024).toFixed(mib % 1024 ? 1 : 0);
export function nodeName(id) { return world.nodes.get(id)?.name ?? `node ${id}`; }

// Returns whether nodes came or went.
export function takeNodes(delta, isFresh) {
  if (isFresh) for (const known of [world.nodes, world.vms, world.clusters, travelling]) known.clear();
  world.hour = delta.hour;
  for (const [id, name] of delta.clusters) world.clusters.set(id, name);
  let isReshaped = delta.clusters.length > 0 || delta.nodes_gone.length > 0;
  for (const [id, name, cluster, cores, mib, vcpus, used, count, maintenance, load] of delta.nodes) {
    const known = world.nodes.get(id);
    if (!known) isReshaped = true;
    world.nodes.set(id, { id, name, cluster, cores, mib, vcpus, used, count, maintenance, load: load / 100, vms: known ? known.vms : new Set() });
    world.dirty.add(id);
  }
  for (const id of delta.nodes_gone) world.nodes.delete(id);
  for (const [id, name, node, cores, mib] of delta.vms) {
    leave(id);
    world.vms.set(id, { id, name, node, cores, mib, hue: hueOf(name) });
    world.nodes.get(node)?.vms.add(id);
    world.dirty.add(node);
  }
  for (const id of delta.vms_gone) {
    leave(id);
    world.vms.delete(id);
  }
  return isReshaped;
}

function leave(id) {
  const vm = world.vms.get(id);
  if (!vm) return;
  world.nodes.get(vm.node)?.vms.delete(id);
  world.dirty.add(vm.node);
}

// Calm hues for ordinary VMs, so that those that fill a node up stand out.
const HUES = [200, 216, 184, 168, 232, 252, 150, 276];
const RUSH_HUE = 26;

function hueOf(name) {
  if (name.startsWith("rush-")) return RUSH_HUE;
  let hash = 0;
  for (const letter of name.replace(/-?\d+$/, "")) hash = (hash * 31 + letter.codePointAt(0)) % 997;
  return HUES[hash % HUES.length];
}
