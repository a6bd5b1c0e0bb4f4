/*
 * tests/api/auth_rotation.test.mjs - Keys and secrets are changed, and sessions ended, while people work on two servers of one database: nobody is
 * refused who is in order, and nothing is accepted five seconds after it ended.
 */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { auth, bearer, get, login, people, signUp } from "../support/auth.mjs";
import { environment, runPurlin, startPurlin, temporaryFolder, writeContracts } from "../support/purlin.mjs";

const base = { PURLIN_AUTH_PASSWORD_MEMORY: "8MiB", PURLIN_AUTH_PASSWORD_PASSES: "1", PURLIN_AUTH_ISSUER: "http://issuer.test" };
const [one, two] = ["first-installation-key-0001", "second-installation-key-002"];
const late = 5000;
const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

/* Two servers, and a tool, on one database. */
async function start(t) {
  const folder = temporaryFolder(t), env = (secret, previous = "") => ({ ...base, PURLIN_SECRET: secret, PURLIN_SECRET_PREVIOUS: previous });
  const launch = (...secrets) => startPurlin(t, { contracts: people, folder, env: env(...secrets) });
  const tool = (secrets, ...args) => {
    const result = runPurlin(args, { env: environment(folder, writeContracts(folder, people), env(...secrets)) });
    assert.equal(result.code, 0, result.stderr);
    return result.stdout;
  };
  return { servers: [await launch(one), await launch(one)], launch, tool };
}

/*
 * People who work: each asks any server who they are, and every so often has a new pair of tokens made. A server that is being replaced is
 * gone for a moment: the other is asked then.
 */
function work(world, count, credentials) {
  const found = { asked: 0, refreshed: 0, wrong: [], stopped: false, pairs: Array.from({ length: count }, () => 0) };
  const anyOf = () => world.servers[Math.floor(Math.random() * world.servers.length)];
  const elsewhere = async (ask) => {
    for (let left = 200; ; left--)
      try {
        return await ask(anyOf());
      } catch (error) {
        if (!left) throw error;
        await pause(5);
      }
  };
  const one = async (i) => {
    let own = await credentials(i);
    for (let turn = 1; !found.stopped; turn++) {
      const me = await elsewhere((server) => get(server, "/auth/me", bearer(own)));
      found.asked++;
      if (me.status !== 200) found.wrong.push({ what: "access", at: Date.now(), person: i, status: me.status, body: me.body });
      if (turn % 10 === 0 || me.status === 401) {
        /* A lost answer is asked for again, with the same token. */
        const next = await elsewhere((server) => auth(server, "refresh", { refresh_token: own.refresh_token }));
        found.refreshed++;
        if (next.status !== 200) found.wrong.push({ what: "refresh", at: Date.now(), person: i, status: next.status, body: next.body });
        else {
          own = next.body;
          found.pairs[i]++;
        }
      }
    }
  };
  const all = Promise.all(Array.from({ length: count }, (_, i) => one(i)));
  found.everybodyHasNew = async () => {
    const before = [...found.pairs];
    while (!found.pairs.every((pairs, i) => pairs > before[i]) && found.wrong.length === 0) await pause(20);
  };
  found.end = async () => {
    found.stopped = true;
    await all;
    return found;
  };
  return found;
}

async function crew(world, count) {
  const signed = [];
  for (let i = 0; i < count; i++) signed.push(await signUp(world.servers[0], { name: `p${i}` }));
  return signed;
}

describe("while people work on two servers", () => {
  it("the signing key is changed by plan, and nobody is refused", async (t) => {
    const world = await start(t), signed = await crew(world, 6);
    const found = work(world, signed.length, (i) => signed[i]);
    await pause(500);
    world.tool([one], "keys", "rotate");
    await pause(3000);
    await found.end();
    assert.deepEqual(found.wrong, []);
    assert.ok(found.asked > 100 && found.refreshed > 10, JSON.stringify(found));
  });

  it("the signing key is dropped at once: its tokens end within five seconds, those made since are good everywhere", async (t) => {
    const world = await start(t), signed = await crew(world, 4);
    const old = signed.map((tokens) => tokens.access_token);
    world.tool([one], "keys", "rotate", "--now");
    const from = Date.now();
    for (const server of world.servers) {
      for (;;) {
        const begun = Date.now(), statuses = await Promise.all(old.map(async (token) => (await get(server, "/auth/me", bearer(token))).status));
        if (statuses.every((status) => status === 401)) break;
        assert.ok(begun - from < late, `accepted ${begun - from} ms later: ${statuses}`);
        await pause(20);
      }
    }
    const found = work(world, signed.length, async (i) => (await auth(world.servers[i % 2], "refresh", { refresh_token: signed[i].refresh_token })).body);
    await pause(2000);
    await found.end();
    assert.deepEqual(found.wrong, []);
    assert.ok(found.refreshed > 5);
  });

  it("the installation's secret is changed server by server, and nobody is refused", async (t) => {
    const world = await start(t), signed = await crew(world, 6);
    const found = work(world, signed.length, (i) => signed[i]);
    /* First all learn to believe the new one, then all use it, and when nobody has tokens of the old one any more, it is forgotten:
       how long that takes on a busy machine is not for a clock to say. */
    for (const secrets of [[one, two], [two, one], [two]]) {
      await found.everybodyHasNew();
      for (let i = 0; i < 2; i++) {
        await world.servers[i].stop();
        world.servers[i] = await world.launch(...secrets);
        await pause(700);
      }
    }
    await found.end();
    assert.deepEqual(found.wrong, []);
    assert.ok(found.asked > 200 && found.refreshed > 20, JSON.stringify(found));
  });

  it("a person's other sessions are ended: at once here, within five seconds elsewhere, and no one else's", async (t) => {
    const world = await start(t), signed = await crew(world, 4), ada = await signUp(world.servers[0]);
    const found = work(world, signed.length, (i) => signed[i]);
    const others = [];
    for (let i = 0; i < 5; i++) others.push((await login(world.servers[i % 2], ada.email)).body);
    for (const server of world.servers)
      for (const tokens of others) assert.equal((await get(server, "/auth/me", bearer(tokens))).status, 200);
    assert.equal((await get(world.servers[0], "/auth/sessions", bearer(ada), "DELETE")).status, 200);
    const from = Date.now();
    for (const tokens of others) assert.equal((await get(world.servers[0], "/auth/me", bearer(tokens))).status, 401, "the server that ended them");
    for (;;) {
      const begun = Date.now(), statuses = await Promise.all(others.map(async (tokens) => (await get(world.servers[1], "/auth/me", bearer(tokens))).status));
      if (statuses.every((status) => status === 401)) break;
      assert.ok(begun - from < late, `accepted ${begun - from} ms later: ${statuses}`);
      await pause(20);
    }
    for (const tokens of others) assert.equal((await auth(world.servers[1], "refresh", { refresh_token: tokens.refresh_token })).status, 401);
    for (const server of world.servers) assert.equal((await get(server, "/auth/me", bearer(ada))).status, 200, "the session that asked for it");
    await found.end();
    assert.deepEqual(found.wrong, []);
  });

  it("an API key is changed without a gap, and revoked everywhere", async (t) => {
    const world = await start(t), make = (...args) => JSON.parse(world.tool([one], "key", ...args, "--json"));
    const ada = await signUp(world.servers[0]);
    const key = make("create", "--name", "n", "--user", ada.user_id);
    let secrets = [key.secret], stopped = false;
    const refused = [];
    const users = Promise.all(
      Array.from({ length: 4 }, async () => {
        while (!stopped)
          for (const secret of secrets) {
            const { status } = await get(world.servers[Math.floor(Math.random() * 2)], "/auth/me", { "X-API-Key": secret });
            if (status !== 200) refused.push(status);
          }
      }),
    );
    await pause(300);
    secrets = [key.secret, make("rotate", key.id).secret];
    await pause(1500);
    stopped = true;
    await users;
    assert.deepEqual(refused, []);
    world.tool([one], "key", "revoke", key.id);
    const from = Date.now();
    for (const server of world.servers)
      for (const secret of secrets)
        for (let begun; (begun = Date.now()), (await get(server, "/auth/me", { "X-API-Key": secret })).status !== 401; ) assert.ok(begun - from < late, `accepted ${begun - from} ms later`);
  });
});
