/* passkeys.js - Passkeys on the account's pages: the one thing there that takes a script. */
const cookie = (name) => document.cookie.split("; ").find((pair) => pair.startsWith(`${name}=`))?.slice(name.length + 1);

async function post(path, body) {
  const headers = { "X-CSRF-Token": cookie("__Host-purlin_csrf") ?? "" };
  if (body) headers["Content-Type"] = "application/json";
  const answer = await fetch(path, { method: "POST", headers, body: body && JSON.stringify(body) });
  const text = await answer.text();
  const value = text ? JSON.parse(text) : {};
  if (!answer.ok) throw new Error(value.detail ?? "Something went wrong. Try again.");
  return value;
}

/* The codes come with the first factor, this once: nothing else is on the page until they are kept. */
function showCodes(codes) {
  const main = document.querySelector("main");
  const list = Object.assign(document.createElement("ul"), { className: "codes" });
  for (const code of codes) list.append(Object.assign(document.createElement("li"), { textContent: code }));
  const heading = Object.assign(document.createElement("h1"), { textContent: "Your recovery codes", tabIndex: -1 });
  const words = Object.assign(document.createElement("p"), {
    textContent: "Each of these lets you in once, when you cannot use your passkey. They are shown this once: print this page, or write them down, and keep them where your phone is not.",
  });
  const on = Object.assign(document.createElement("p"), { className: "where" });
  on.append(Object.assign(document.createElement("a"), { href: "/auth/account/passkeys", textContent: "I have kept them: go on" }));
  main.replaceChildren(heading, words, list, on);
  heading.focus();
}

const reasons = { InvalidStateError: "This device has a passkey of this account already.", NotAllowedError: "No passkey was made: it was called off, or took too long." };

async function add(form) {
  const options = PublicKeyCredential.parseCreationOptionsFromJSON(await post("/auth/passkeys/options"));
  const credential = (await navigator.credentials.create({ publicKey: options })).toJSON();
  const { recovery_codes: codes } = await post("/auth/passkeys", { credential, name: form.elements.name.value.trim() || "Passkey" });
  if (codes) showCodes(codes);
  else location.reload();
}

for (const form of document.querySelectorAll("form[data-passkey=add]")) {
  if (!window.PublicKeyCredential?.parseCreationOptionsFromJSON) continue;
  const alert = form.querySelector(".alert");
  form.hidden = false;
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    alert.hidden = true;
    try {
      await add(form);
    } catch (error) {
      alert.textContent = reasons[error.name] ?? error.message;
      alert.hidden = false;
    }
  });
}
