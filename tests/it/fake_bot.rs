//! A very small bot that only knows how to please the sandbox's page: for looking at the page without the product.
//!
//! Talks to the simulated servers as the real one does. No part of the product, and no example for it.

use std::{collections::BTreeMap, time::Duration};

use serde_json::{Value, json};
use vm_balancer::sandbox::BotEnvironment;

type Outcome<T> = Result<T, Box<dyn std::error::Error + Send + Sync>>;

pub async fn run(environment: BotEnvironment) -> Result<(), String> {
    let mut bot = Fake {
        vars: environment.variables,
        http: reqwest::Client::new(),
        history: Vec::new(),
        proposed: false,
    };
    bot.call("setMyCommands", commands()).await.map_err(|error| error.to_string())?;
    let mut offset = 0;
    loop {
        let _ = bot.cycle().await;
        if environment.shutdown.is_cancelled() {
            return Ok(());
        }
        let asked =
            json!({ "offset": offset, "timeout": 2, "allowed_updates": ["message", "callback_query"] });
        let Ok(updates) = bot.call("getUpdates", asked).await else {
            tokio::time::sleep(Duration::from_millis(500)).await;
            continue;
        };
        let updates = updates.as_array().cloned().unwrap_or_default();
        for update in &updates {
            offset = update["update_id"].as_i64().unwrap_or(offset) + 1;
            if let Err(error) = bot.heard(update).await {
                let _ = bot
                    .say(&bot.chat(), &format!("VMmanager: {}", escape(&error.to_string())), json!([]))
                    .await;
            }
        }
    }
}

fn commands() -> Value {
    let command = |name: &str, does: &str| json!({ "command": name, "description": does });
    json!({ "commands": [command("status", "how the clusters are"), command("balance", "propose a plan"),
        command("history", "what was done")] })
}

struct Fake {
    vars: BTreeMap<String, String>,
    http: reqwest::Client,
    history: Vec<String>,
    /// Whether the overload that there is was proposed to be mended.
    proposed: bool,
}

struct Move {
    vm: u64,
    name: String,
    from: (u64, String),
    to: (u64, String),
}

impl Fake {
    fn var(&self, name: &str) -> &str {
        self.vars.get(name).map_or("", String::as_str)
    }

    fn chat(&self) -> Value {
        json!(self.var("TELEGRAM_CHAT_ID"))
    }

    async fn call(&self, method: &str, params: Value) -> Outcome<Value> {
        let url = format!("{}/bot{}/{method}", self.var("TELEGRAM_API_URL"), self.var("TELEGRAM_BOT_TOKEN"));
        let mut answer: Value = self.http.post(url).json(&params).send().await?.json().await?;
        if answer["ok"] == true {
            Ok(answer["result"].take())
        } else {
            Err(answer["description"].to_string().into())
        }
    }

    async fn say(&self, chat: &Value, html: &str, keys: Value) -> Outcome<i64> {
        let keys = json!({ "inline_keyboard": keys });
        let said = json!({ "chat_id": chat, "text": html, "parse_mode": "HTML", "reply_markup": keys });
        Ok(self.call("sendMessage", said).await?["message_id"].as_i64().unwrap_or(0))
    }

    async fn edit(&self, chat: &Value, id: i64, html: &str) -> Outcome<()> {
        let edit = json!({ "chat_id": chat, "message_id": id, "text": html, "parse_mode": "HTML" });
        self.call("editMessageText", edit).await.map(|_| ())
    }

    async fn heard(&mut self, update: &Value) -> Outcome<()> {
        let press = &update["callback_query"];
        let (data, message) = (press["data"].as_str(), &press["message"]);
        let chat = update.pointer("/message/chat/id").unwrap_or(&message["chat"]["id"]).clone();
        let who = press["from"]["first_name"].as_str().unwrap_or("somebody").to_owned();
        let allowed = ["TELEGRAM_ADMIN_IDS", "TELEGRAM_OPERATOR_IDS"].map(|name| self.var(name).to_owned());
        if data.is_some() {
            let may = allowed.contains(&press["from"]["id"].to_string());
            let text = if may { "on it" } else { "You may look, not press." };
            let answer = json!({ "callback_query_id": press["id"], "text": text, "show_alert": !may });
            self.call("answerCallbackQuery", answer).await?;
            if !may {
                return Ok(());
            }
        }
        let text = update.pointer("/message/text").and_then(Value::as_str).unwrap_or_default();
        match (text.split(['@', ' ']).next().unwrap_or_default(), data) {
            ("/status", _) => self.status(&chat).await,
            ("/balance", _) | (_, Some("balance")) => self.propose(&chat).await,
            ("/history", _) => {
                let lines = self.history.iter().rev().take(10).cloned().collect::<Vec<_>>().join("\n");
                self.say(&chat, &format!("<b>History</b>\n{lines}"), json!([])).await.map(|_| ())
            }
            (_, Some("approve")) => {
                self.carry_out(&chat, message["message_id"].as_i64().unwrap_or(0), &who).await
            }
            (_, Some("reject")) => {
                self.edit(&chat, message["message_id"].as_i64().unwrap_or(0), "Rejected.").await
            }
            _ => Ok(()),
        }
    }

    async fn ask(&self, path: &str) -> Outcome<Vec<Value>> {
        let url = format!("{}/vm/v3/{path}", self.var("VMMANAGER_HOST"));
        let token = self.token().await?;
        let answer: Value = self
            .http
            .get(url)
            .header("x-xsrf-token", &token)
            .header("cookie", format!("ses6={token}"))
            .send()
            .await?
            .error_for_status()?
            .json()
            .await?;
        Ok(answer["list"].as_array().cloned().unwrap_or_default())
    }

    async fn token(&self) -> Outcome<String> {
        let login =
            json!({ "email": self.var("VMMANAGER_USERNAME"), "password": self.var("VMMANAGER_PASSWORD") });
        let url = format!("{}/auth/v4/public/token", self.var("VMMANAGER_HOST"));
        let answer: Value = self.http.post(url).json(&login).send().await?.error_for_status()?.json().await?;
        Ok(answer["token"].as_str().unwrap_or_default().to_owned())
    }

    async fn nodes(&self) -> Outcome<Vec<(u64, String, f64, f64)>> {
        let nodes = self.ask("node").await?;
        Ok(nodes
            .iter()
            .map(|node| {
                let number = |at: &str| node.pointer(at).and_then(Value::as_f64).unwrap_or(0.0);
                let name = node["name"].as_str().unwrap_or_default().to_owned();
                (number("/id") as u64, name, number("/ram_mib/allocated"), number("/ram_mib/total"))
            })
            .collect())
    }

    async fn status(&self, chat: &Value) -> Outcome<()> {
        let nodes = self.nodes().await?;
        let rows: Vec<_> = nodes
            .iter()
            .take(20)
            .map(|(_, name, used, total)| {
                let mark = if used / total > 0.7 { "▲" } else { " " };
                format!("{mark} {:<10} {:>5.1} %", escape(name), used / total * 100.0)
            })
            .collect();
        let over = nodes.iter().filter(|(_, _, used, total)| used / total > 0.7).count();
        let text =
            format!("<b>Status</b>: {over} overloaded of {}\n<pre>{}</pre>", nodes.len(), rows.join("\n"));
        let keys = json!([[{ "text": "Refresh", "callback_data": "refresh" },
            { "text": "Balance", "callback_data": "balance", "style": "primary" }]]);
        self.say(chat, &text, keys).await.map(|_| ())
    }

    async fn plan(&self) -> Outcome<Vec<Move>> {
        let mut nodes = self.nodes().await?;
        let hosts = self.ask("host").await?;
        let mut plan = Vec::new();
        for vm in &hosts {
            let memory = vm["ram_mib"].as_f64().unwrap_or(0.0);
            let from = vm["node"]["id"].as_u64().unwrap_or(0);
            let Some(source) = nodes.iter().position(|(id, ..)| *id == from) else { continue };
            let free = vm["state"] == "active" && vm["snapshot_count"] == 0 && vm["iso_mounted"] == false;
            if nodes[source].2 / nodes[source].3 <= 0.7 || !free || plan.len() == 4 || memory < 8192.0 {
                continue;
            }
            let best = nodes.iter().enumerate().min_by(|a, b| (a.1.2 / a.1.3).total_cmp(&(b.1.2 / b.1.3)));
            let target = best.map_or(source, |(at, _)| at);
            nodes[source].2 -= memory;
            nodes[target].2 += memory;
            let end = |at: usize| (nodes[at].0, nodes[at].1.clone());
            let name = vm["name"].as_str().unwrap_or_default().to_owned();
            plan.push(Move { vm: vm["id"].as_u64().unwrap_or(0), name, from: end(source), to: end(target) });
        }
        Ok(plan)
    }

    async fn propose(&self, chat: &Value) -> Outcome<()> {
        let plan = self.plan().await?;
        if plan.is_empty() {
            return self.say(chat, "Nothing to do: no node is overloaded.", json!([])).await.map(|_| ());
        }
        let text = format!("<b>Plan</b>: {} migrations\n{}", plan.len(), lines(&plan, "•"));
        let keys = json!([[{ "text": "Approve", "callback_data": "approve", "style": "success" },
            { "text": "Reject", "callback_data": "reject", "style": "danger" }]]);
        self.say(chat, &text, keys).await.map(|_| ())
    }

    async fn cycle(&mut self) -> Outcome<()> {
        let overloaded = !self.plan().await?.is_empty();
        if overloaded && !self.proposed {
            self.propose(&self.chat()).await?;
        }
        self.proposed = overloaded;
        Ok(())
    }

    async fn carry_out(&mut self, chat: &Value, id: i64, who: &str) -> Outcome<()> {
        self.proposed = false;
        let plan = self.plan().await?;
        let token = self.token().await?;
        for (done, step) in plan.iter().enumerate() {
            self.edit(
                chat,
                id,
                &format!("<b>Running</b> {done} of {}\n{}", plan.len(), lines(&plan[..=done], "→")),
            )
            .await?;
            let url = format!("{}/vm/v3/host/{}/migrate", self.var("VMMANAGER_HOST"), step.vm);
            self.http
                .post(url)
                .header("x-xsrf-token", &token)
                .header("cookie", format!("ses6={token}"))
                .json(&json!({ "node": step.to.0 }))
                .send()
                .await?
                .error_for_status()?;
            for _ in 0..600 {
                tokio::time::sleep(Duration::from_millis(200)).await;
                let vm = self.ask(&format!("host?where=id%20EQ%20{}", step.vm)).await?;
                if vm.first().is_none_or(|vm| vm["node"]["id"] == step.to.0) {
                    break;
                }
            }
            self.history.push(format!(
                "{}: {} → {}, approved by {who}",
                escape(&step.name),
                step.from.1,
                step.to.1
            ));
        }
        self.edit(chat, id, &format!("<b>Plan done</b>, 0 failed, approved by {who}\n{}", lines(&plan, "✓")))
            .await
    }
}

fn lines(plan: &[Move], mark: &str) -> String {
    let line =
        |step: &Move| format!("{mark} <code>{}</code> {} → {}", escape(&step.name), step.from.1, step.to.1);
    plan.iter().map(line).collect::<Vec<_>>().join("\n")
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}
