// What a person does in the chat: write, press a button, answer a message.

import { $, alertBox, copy, post, toast } from "./dom.js";
import { state } from "./known.js";

export async function say(text) {
  const { chat, thread } = state.room;
  const body = { user: state.who, chat, thread, text, reply_to: state.reply };
  unreply();
  try {
    await post("api/say", body);
  } catch (error) {
    toast(error.message);
  }
}

export async function pressed(element, message, button) {
  if (button.url) return window.open(button.url, "_blank", "noopener");
  if (button.copy_text) return copy(button.copy_text);
  element.classList.add("busy");
  element.setAttribute("aria-busy", "true");
  try {
    const press = { user: state.who, chat: message.chat, message: message.id, button: button.data };
    const answer = await post("api/press", press);
    if (answer.text && answer.alert) alertBox(answer.text);
    else if (answer.text) toast(answer.text);
  } catch (error) {
    toast(`The bot did not answer: ${error.message}`);
  }
  element.classList.remove("busy");
  element.removeAttribute("aria-busy");
}

export function replyTo(message) {
  state.reply = message.id;
  $("reply").hidden = false;
  $("reply").querySelector("span").textContent = `Reply to ${message.from.name}: ${message.text.slice(0, 80)}`;
  $("text").focus();
}

export function unreply() {
  state.reply = null;
  $("reply").hidden = true;
}

$("reply").querySelector("button").addEventListener("click", unreply);
