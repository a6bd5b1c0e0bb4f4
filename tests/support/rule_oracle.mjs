/*
 * tests/support/rule_oracle.mjs - What a rule of a contract means, read from docs/filters.md and nothing else: a second opinion on who may do
 * what, for tests that compare it with what the server does. Rows are plain objects as the API shows them.
 *
 *     const rule = parseRule('visibility == "public" || author == @user');
 *     ruleHolds(rule, { rows: { posts: [...] }, resources, user: id or null, roles: [] }, "posts", row);
 */
const token = /\s*(?:\/\/[^\n]*\n\s*)*(?:(-?\d+(?:\.\d+)?)|"((?:[^"\\]|\\.)*)"|'((?:[^'\\]|\\.)*)'|([a-z_][a-z_0-9]*)|(@[a-z]+)|(\|\||&&|==|!=|<=|>=|[<>()\[\],.!?:]))/iy;

function tokens(text) {
  const found = [];
  for (token.lastIndex = 0; token.lastIndex < text.trimEnd().length; ) {
    const at = token.lastIndex, m = token.exec(text);
    if (!m) throw new Error(`rule oracle: character ${at} of ${text}`);
    const [, number, double, single, name, variable, sign] = m;
    const quoted = double ?? single;
    if (number !== undefined) found.push({ kind: "value", value: Number(number) });
    else if (quoted !== undefined) found.push({ kind: "value", value: JSON.parse(`"${quoted}"`) });
    else if (name !== undefined && ["true", "false", "null"].includes(name)) found.push({ kind: "value", value: JSON.parse(name) });
    else if (name !== undefined && name !== "in") found.push({ kind: "name", name });
    else found.push({ kind: "sign", sign: name ?? variable ?? sign });
  }
  return found;
}

/* The tree of a rule: { op, ... }. `true` and `false` of YAML are rules too; what is left out is false. */
export function parseRule(rule) {
  if (rule === undefined || typeof rule === "boolean") return { op: "value", value: rule ?? false };
  const list = tokens(rule);
  let at = 0;
  const is = (sign) => list[at]?.kind === "sign" && list[at].sign === sign;
  const take = (sign) => is(sign) && ++at;
  const need = (sign) => { if (!take(sign)) throw new Error(`rule oracle: no ${sign} in ${rule}`); };
  const either = () => {
    let left = both();
    while (take("||")) left = { op: "||", left, right: both() };
    if (!take("?")) return left;
    const yes = either();
    need(":");
    return { op: "?", left, yes, no: either() };
  };
  const both = () => {
    let left = compared();
    while (take("&&")) left = { op: "&&", left, right: compared() };
    return left;
  };
  const compared = () => {
    const left = prefix();
    for (const op of ["==", "!=", "<=", ">=", "<", ">", "in"]) if (take(op)) return { op, left, right: prefix() };
    return left;
  };
  const prefix = () => (take("!") ? { op: "!", left: prefix() } : primary());
  const primary = () => {
    if (take("(")) {
      const inner = either();
      need(")");
      return inner;
    }
    if (take("[")) {
      const items = [];
      while (!take("]")) {
        items.push(either());
        take(",");
      }
      return { op: "list", items };
    }
    const one = list[at++];
    if (one?.kind === "value") return { op: "value", value: one.value };
    if (one?.kind === "sign" && one.sign.startsWith("@")) return { op: "caller", name: one.sign };
    if (one?.kind !== "name") throw new Error(`rule oracle: what is ${JSON.stringify(one)} in ${rule}`);
    if (one.name === "exists" && take("(")) {
      const resource = list[at++].name;
      need(",");
      const where = either();
      need(")");
      return { op: "exists", resource, where };
    }
    const path = [one.name];
    while (take(".")) path.push(list[at++].name);
    return { op: "path", path };
  };
  const tree = either();
  if (at !== list.length) throw new Error(`rule oracle: too much after ${at} parts of ${rule}`);
  return tree;
}

const system = ["id", "created_at", "updated_at", "version", "deleted_at"];

/* A field of the innermost row that has one, through references; `posts.id` says which row is meant. */
function lookUp(world, scopes, path) {
  const fieldsOf = (resource) => world.resources[resource].fields;
  let [name, ...rest] = path;
  let scope = scopes.findLast((s) => system.includes(name) || name in fieldsOf(s.resource));
  const named = rest.length ? scopes.findLast((s) => s.resource === name) : undefined;
  if (named && !(scope && name in fieldsOf(scope.resource))) [scope, name, ...rest] = [named, ...rest];
  if (!scope) throw new Error(`rule oracle: what is ${path.join(".")}?`);
  let { resource, row } = scope;
  for (const next of rest) {
    const target = fieldsOf(resource)[name].ref;
    row = row && world.rows[target].find((r) => r.id === row[name] && !r.deleted_at);
    [resource, name] = [target, next];
  }
  return row?.[name] ?? null;
}

function value(tree, world, scopes) {
  const of = (t) => value(t, world, scopes);
  switch (tree.op) {
    case "value": return tree.value;
    case "list": return tree.items.map(of);
    case "caller": return { "@user": world.user, "@roles": world.roles }[tree.name] ?? null;
    case "path": return lookUp(world, scopes, tree.path);
    case "||": return of(tree.left) || of(tree.right);
    case "&&": return of(tree.left) && of(tree.right);
    case "!": return !of(tree.left);
    case "?": return of(tree.left) ? of(tree.yes) : of(tree.no);
    case "in": return of(tree.left) !== null && (of(tree.right) ?? []).includes(of(tree.left));
    case "exists":
      return world.rows[tree.resource].some((row) => !row.deleted_at && value(tree.where, world, [...scopes, { resource: tree.resource, row }]));
    case "!=": return !value({ ...tree, op: "==" }, world, scopes);
    case "==": {
      const left = of(tree.left), right = of(tree.right);
      const asksNull = [tree.left, tree.right].some((t) => t.op === "value" && t.value === null);
      return asksNull ? left === right : left !== null && left === right;
    }
    default: {
      const left = of(tree.left), right = of(tree.right);
      if (left === null || right === null) return false;
      return { "<": left < right, "<=": left <= right, ">": left > right, ">=": left >= right }[tree.op];
    }
  }
}

export const ruleHolds = (tree, world, resource, row) => Boolean(value(tree, world, [{ resource, row }]));
