// The same table behind Fastify and better-sqlite3, the way their documentation shows: schemas for bodies and
// answers, prepared statements, WAL.
//
//     PORT=... DATABASE=... node fastify.mjs
import { randomUUID } from 'node:crypto';
import { createRequire } from 'node:module';

const require = createRequire(new URL('../package.json', import.meta.url));
const Database = require('better-sqlite3');
const fastify = require('fastify')({ logger: false });

const db = new Database(process.env.DATABASE);
db.pragma('journal_mode = WAL');
db.pragma('synchronous = FULL');
db.pragma('mmap_size = 1073741824');

const columns = 'id, author, title, body, visibility, score, created_at, updated_at, version';
const findPost = db.prepare(`SELECT ${columns} FROM posts WHERE id = ? AND visibility = 'public'`);
const listPosts = db.prepare(`SELECT ${columns} FROM posts WHERE author = ? AND visibility = 'public'
  ORDER BY created_at DESC, id DESC LIMIT ?`);
const insertPost = db.prepare(`INSERT INTO posts (${columns}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, 1)`);

const toBytes = (uuid) => Buffer.from(uuid.replaceAll('-', ''), 'hex');
const toUuid = (bytes) => {
  const hex = bytes.toString('hex');
  return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-${hex.slice(12, 16)}-${hex.slice(16, 20)}-${hex.slice(20)}`;
};
const toPost = (row) => ({
  ...row,
  id: toUuid(row.id),
  author: toUuid(row.author),
  created_at: new Date(row.created_at / 1000).toISOString(),
  updated_at: new Date(row.updated_at / 1000).toISOString(),
});

const string = { type: 'string' };
const integer = { type: 'integer' };
const post = {
  type: 'object',
  properties: {
    id: string, author: string, title: string, body: string, visibility: string, score: integer,
    created_at: string, updated_at: string, version: integer,
  },
};
const uuid = { type: 'string', format: 'uuid' };

fastify.get('/health/live', () => ({ status: 'pass' }));

fastify.get('/api/v1/posts/:id', {
  schema: { params: { type: 'object', properties: { id: uuid } }, response: { 200: post } },
}, (request, reply) => {
  const row = findPost.get(toBytes(request.params.id));
  return row === undefined ? reply.code(404).send({ error: 'not found' }) : toPost(row);
});

fastify.get('/api/v1/posts', {
  schema: {
    querystring: {
      type: 'object',
      properties: { author: uuid, limit: { type: 'integer', minimum: 1, maximum: 100, default: 20 }, sort: string },
      required: ['author'],
    },
    response: { 200: { type: 'object', properties: { data: { type: 'array', items: post }, has_more: { type: 'boolean' } } } },
  },
}, (request) => {
  const { author, limit } = request.query;
  const rows = listPosts.all(toBytes(author), limit + 1);
  return { data: rows.slice(0, limit).map(toPost), has_more: rows.length > limit };
});

fastify.post('/api/v1/posts', {
  schema: {
    body: {
      type: 'object',
      properties: {
        author: uuid,
        title: { type: 'string', minLength: 1, maxLength: 300 },
        body: { type: 'string', maxLength: 40000 },
        visibility: { enum: ['public', 'followers', 'private'], default: 'public' },
        score: { type: 'integer', default: 0 },
      },
      required: ['author', 'title', 'body'],
      additionalProperties: false,
    },
    response: { 201: post },
  },
}, (request, reply) => {
  const { author, title, body, visibility, score } = request.body;
  const now = Date.now() * 1000;
  const row = {
    id: toBytes(randomUUID()), author: toBytes(author), title, body, visibility, score, created_at: now,
    updated_at: now, version: 1,
  };
  insertPost.run(row.id, row.author, title, body, visibility, score, now, now);
  reply.code(201);
  return toPost(row);
});

await fastify.listen({ port: Number(process.env.PORT), host: '127.0.0.1' });
