/*
 * tests/support/smtp.mjs - Mail servers for tests: Debian's aiosmtpd, and one that says what it is told to.
 */
import { spawn } from "node:child_process";
import { once } from "node:events";
import net from "node:net";
import path from "node:path";
import { root } from "./purlin.mjs";

/*
 * Start aiosmtpd (tests/support/smtp_server.py says how it refuses). mails and refused grow as they come; until(fn) waits for fn() to
 * be true, which is asked after each event.
 */
export async function startMailServer(t, args = []) {
  const child = spawn("/usr/bin/python3", [path.join(root, "tests/support/smtp_server.py"), ...args], { stdio: ["pipe", "pipe", "pipe"] });
  const server = { mails: [], refused: [], stderr: "", child };
  let waiters = [], rest = "";
  child.stderr.on("data", (chunk) => (server.stderr += chunk));
  child.stdout.setEncoding("utf8").on("data", (chunk) => {
    const lines = (rest + chunk).split("\n");
    rest = lines.pop();
    for (const line of lines) {
      const event = JSON.parse(line);
      if (event.ready) server.port = event.ready;
      if (event.mail) server.mails.push(event.mail);
      if (event.refused) server.refused.push(event.refused);
    }
    waiters = waiters.filter((look) => !look());
  });
  const ended = once(child, "exit").then(() => Promise.reject(new Error(`the mail server ended:\n${server.stderr}`)));
  ended.catch(() => {});
  server.until = (fn) =>
    Promise.race([
      new Promise((resolve) => {
        const look = () => fn() && (resolve(), true);
        if (!look()) waiters.push(look);
      }),
      ended,
    ]);
  server.to = (address) => server.mails.filter((mail) => mail.to.includes(address));
  server.stop = async () => {
    if (child.exitCode === null && child.signalCode === null) {
      child.stdin.end();
      child.kill("SIGTERM");
      await ended.catch(() => {});
    }
  };
  t.after(() => server.stop());
  await server.until(() => server.port);
  return server;
}

/*
 * A server of which `answer(line, state)` says what it answers: text, or null for silence. state.data is true within a message.
 */
export async function startScript(t, answer) {
  const sockets = new Set();
  const listener = net.createServer((socket) => {
    const state = { data: false };
    let rest = "";
    sockets.add(socket);
    socket.on("error", () => {}).on("close", () => sockets.delete(socket));
    const say = (text) => text !== null && text !== undefined && socket.write(text);
    say(answer("", state));
    socket.setEncoding("latin1").on("data", (chunk) => {
      const lines = (rest + chunk).split("\r\n");
      rest = lines.pop();
      for (const line of lines) {
        if (state.data && line !== ".") continue;
        say(answer(line, state));
        state.data = line === "DATA";
      }
    });
  });
  listener.listen(0, "127.0.0.1");
  await once(listener, "listening");
  t.after(() => {
    for (const socket of sockets) socket.destroy();
    listener.close();
  });
  return { port: listener.address().port };
}
