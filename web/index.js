/* Fills the page from the same answer that programs get at "/". */
"use strict";

const element = (id) => document.getElementById(id);

function showState(text, kind) {
  const state = element("state");
  state.textContent = text;
  state.className = `state ${kind}`;
}

async function readHealth() {
  try {
    const answer = await fetch("/health/ready");
    const { status } = await answer.json();
    showState(status === "pass" ? "ready" : status, answer.ok ? "pass" : "fail");
  } catch {
    showState("not reachable", "fail");
  }
}

function resourceLine({ name, path, description }) {
  const line = document.createElement("li");
  const link = document.createElement("a");
  link.href = path;
  link.textContent = path;
  const text = document.createElement("span");
  text.textContent = description || name;
  line.append(link, text);
  return line;
}

async function readRoot() {
  try {
    const answer = await fetch("/", { headers: { accept: "application/json" } });
    const root = await answer.json();
    for (const card of document.querySelectorAll("[data-document]"))
      if (!root[card.dataset.document]) card.remove();
    element("list").append(...root.resources.map(resourceLine));
    const n = root.resources.length;
    element("note").textContent = n
      ? `${n} contract${n === 1 ? "" : "s"}, one engine.`
      : "There are no contracts yet: put a YAML file into contracts/ and send SIGHUP.";
    if (n) element("example").textContent = `curl -s '${location.origin}${root.resources[0].path}?limit=1'`;
  } catch {
    element("note").textContent = "The list could not be read. Is the server still running?";
  }
}

readHealth();
readRoot();
