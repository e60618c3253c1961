// What is known of the chats: people, rooms, messages.

export const state = {
  about: {}, bot: null, users: new Map(), chats: new Map(),
  messages: new Map(), // chat -> Map(id -> message)
  unread: new Map(), // room key -> count
  who: 1001, room: null, reply: null,
};

export const rooms = () => {
  const list = [];
  for (const chat of state.chats.values()) {
    if (chat.migrated_to) continue;
    if (chat.kind === "private") {
      if (chat.id === state.who) list.push({ key: `${chat.id}`, chat: chat.id, thread: null, title: "Private" });
    } else if (chat.topics.length) {
      list.push({ key: `${chat.id}`, chat: chat.id, thread: null, title: `${chat.title} › General` });
      for (const [thread, title] of chat.topics) {
        list.push({ key: `${chat.id}/${thread}`, chat: chat.id, thread, title: `${chat.title} › ${title}` });
      }
    } else list.push({ key: `${chat.id}`, chat: chat.id, thread: null, title: chat.title });
  }
  const order = (room) => (room.key === state.about.room ? 0 : state.chats.get(room.chat).kind === "private" ? 1 : 2);
  return list.sort((a, b) => order(a) - order(b));
};

// The bot serves its chat with all topics, and the private chats of the people that its lists name.
export const isConfigured = (room) => room.key === state.about.room;

export const isElsewhere = (room) => room.chat !== parseInt(state.about.room, 10) &&
  !(state.chats.get(room.chat)?.kind === "private" && ["viewer", "operator", "admin"].includes(state.about.roles?.[room.chat]));

export const keyOf = (message) => (message.thread ? `${message.chat}/${message.thread}` : `${message.chat}`);

export function isMine(message) {
  const user = state.users.get(state.who);
  if (message.from.id === state.who) return true;
  if (user.appears === "anonymous") return message.from.id === 1087968824;
  return user.appears === "channel" && message.from.id === 136817688;
}
