/*
 * passkeys.js - Passkeys on the pages to sign in and of the account: the one thing there that takes a script. A page is whole without it;
 * what it adds is shown by it.
 */
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

const reasons = { InvalidStateError: "This device has a passkey of this account already.", NotAllowedError: "It was called off, or took too long." };

async function add(form) {
  const options = PublicKeyCredential.parseCreationOptionsFromJSON(await post("/auth/passkeys/options"));
  const credential = (await navigator.credentials.create({ publicKey: options })).toJSON();
  const { recovery_codes: codes } = await post("/auth/passkeys", { credential, name: form.elements.name.value.trim() || "Passkey" });
  if (codes) showCodes(codes);
  else location.reload();
}

const get = async (options) => (await navigator.credentials.get({ publicKey: PublicKeyCredential.parseRequestOptionsFromJSON(options) })).toJSON();

/* In place of what a form asks for. */
const acts = {
  login: async () => post("/auth/passkeys/login", { credential: await get(await post("/auth/passkeys/login/options", {})), cookie: true }),
  second: async ({ elements }) => {
    const first = { mfa_token: elements.mfa_token.value };
    return post("/auth/mfa", { ...first, credential: await get(await post("/auth/passkeys/login/options", first)) });
  },
  proof: async () => post("/auth/step-up", { credential: await get(await post("/auth/step-up/options")) }),
};

async function attempt(form, act) {
  const alert = form.querySelector(".alert");
  alert.hidden = true;
  try {
    await act();
  } catch (error) {
    alert.textContent = reasons[error.name] ?? error.message;
    alert.hidden = false;
  }
}

if (window.PublicKeyCredential?.parseRequestOptionsFromJSON) {
  for (const form of document.querySelectorAll("form[data-passkey=add]")) {
    form.hidden = false;
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      attempt(form, () => add(form));
    });
  }
  for (const button of document.querySelectorAll("button[data-passkey]")) {
    button.hidden = false;
    button.addEventListener("click", () =>
      attempt(button.form, async () => {
        await acts[button.dataset.passkey](button.form);
        location.assign(button.dataset.then);
      }),
    );
  }
}
