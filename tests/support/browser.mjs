/*
 * tests/support/browser.mjs - A browser without scripts that walks from server to server: cookies by origin, redirects one at a time, so
 * that a test can stop before a step and change it.
 */
export class Browser {
  jars = new Map();

  jar(url) {
    const { origin } = new URL(url);
    if (!this.jars.has(origin)) this.jars.set(origin, new Map());
    return this.jars.get(origin);
  }

  /* One request: { status, headers, location (absolute), text, url }. */
  async fetch(url, { method = "GET", form, headers = {} } = {}) {
    const jar = this.jar(url);
    const answer = await fetch(url, {
      method: form ? "POST" : method, redirect: "manual", body: form && new URLSearchParams(form),
      headers: { Accept: "text/html", ...(jar.size ? { Cookie: [...jar].map(([name, value]) => `${name}=${value}`).join("; ") } : {}), ...headers },
    });
    for (const line of answer.headers.getSetCookie()) {
      const [pair, ...attributes] = line.split(/;\s*/), at = pair.indexOf("=");
      const gone = attributes.some((one) => /^max-age=0$/i.test(one) || /^expires=Thu, 01 Jan 1970/i.test(one));
      if (gone) jar.delete(pair.slice(0, at));
      else jar.set(pair.slice(0, at), pair.slice(at + 1));
    }
    const location = answer.headers.get("location");
    return { status: answer.status, headers: answer.headers, text: await answer.text(), url, location: location && new URL(location, url).href };
  }

  /* Follow redirects until `stop` says so of the next URL, or there is none: the last answer, whose `location` was not followed. */
  async walk(url, stop = () => false) {
    for (let i = 0; i < 20; i++) {
      const answer = await this.fetch(url);
      if (!answer.location || stop(new URL(answer.location))) return answer;
      url = answer.location;
    }
    throw new Error(`redirects without end: ${url}`);
  }
}
