/* tests/support/rich.mjs - Contracts that use every type and most of what a contract can say; with references in a row. */
export const richContracts = {
  makers: `
resource: makers
description: Who makes things.
fields:
  name:  { type: string, min: 1, max: 80, required: true }
  site:  { type: url }
  mail:  { type: email, unique: true }
  thing_count: { count: things.maker }
search: [name]
rules: { read: true, create: true, update: true, delete: true }
`,
  things: `
resource: things
description: One of everything.
fields:
  maker:  { ref: makers, required: true, on_delete: cascade }
  code:   { type: string, min: 2, max: 20, pattern: "^[a-z]+$", required: true }
  text:   { type: text, max: 4000 }
  whole:  { type: integer, min: 0, max: 100, default: 7 }
  real:   { type: number, min: -1.5, max: 1.5 }
  yes:    { type: boolean, default: false }
  at:     { type: time, default: "@now" }
  day:    { type: date }
  token:  { type: uuid, optional: true }
  site:   { type: url }
  mail:   { type: email }
  extra:  { type: json, schema: { type: object, properties: { a: { type: integer } } } }
  tags:   { type: list, of: string, max_items: 5, default: [] }
  marks:  { type: list, of: integer, max_items: 3, optional: true }
  color:  { enum: [red, green], default: red }
  price:  { type: money, optional: true }
  image:  { type: media, optional: true }
  secret: { type: string, max: 30, writeonly: true }
  fixed:  { type: string, max: 30, immutable: true }
  score:  { type: integer, default: 0, readonly: true }
search: [code, text]
soft_delete: true
rules: { read: true, create: true, update: true, delete: true }
limits: { create: 30/minute/user }
`,
  notes: `
resource: notes
description: What only an admin may see.
fields:
  thing: { ref: things, on_delete: set_null }
  said:  { type: string, max: 200, required: true }
rules: { read: '"admin" in @roles', create: '"admin" in @roles', update: '"admin" in @roles', delete: '"admin" in @roles' }
`,
};
