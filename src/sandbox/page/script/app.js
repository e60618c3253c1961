// The sandbox's page: a chat on the left, the simulated clusters on the right. Starts all parts.

import { applyTheme } from "./look.js";
import { listen } from "./connection.js";
import "./commands.js";

applyTheme();
listen();
