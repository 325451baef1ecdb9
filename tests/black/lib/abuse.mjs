// What stories of abuse have in common: conversations in bytes, many sockets at a time, what a node still holds.
import assert from 'node:assert/strict';
import net from 'node:net';
import { deadline, until } from './wait.mjs';

export const POST = 'POST /api/topics/t/events HTTP/1.1\r\n';
export const JSON_TYPE = 'Content-Type: application/json\r\n';

export function get(path, extra = '') {
  return `GET ${path} HTTP/1.1\r\nHost: x\r\n${extra}\r\n`;
}

export function post(path, body, extra = '') {
  return `POST ${path} HTTP/1.1\r\nHost: x\r\n${JSON_TYPE}${extra}Content-Length: ${Buffer.byteLength(body)}\r\n\r\n${body}`;
}

// A socket that does not mind how it ends.
export function dial(node, options = {}) {
  const socket = net.connect({ port: node.port, host: '127.0.0.1', ...options });
  socket.on('error', () => {});
  socket.over = new Promise((resolve) => socket.on('close', resolve));
  return socket;
}

// Cuts it with a RST. (Node hangs at its end when a socket is reset that has been ended before.)
export function reset(socket) {
  if (socket.connecting || !socket.writable) socket.destroy();
  else socket.resetAndDestroy();
}

// Sends bytes (latin1) and returns all that is said: until the node closes, or (quietMs) says nothing more for so long.
export async function converse(node, bytes, { quietMs, ms = 15_000 } = {}) {
  const socket = dial(node);
  const parts = [];
  let timer;
  const rest = () => {
    clearTimeout(timer);
    if (quietMs) timer = setTimeout(() => socket.end(), quietMs);
  };
  socket.on('data', (data) => {
    parts.push(data);
    rest();
  });
  socket.write(typeof bytes === 'string' ? Buffer.from(bytes, 'latin1') : bytes, rest);
  try {
    await deadline(socket.over, { what: `the end of ${JSON.stringify(String(bytes).slice(0, 120))}`, ms });
  } finally {
    clearTimeout(timer);
    socket.destroy();
  }
  return Buffer.concat(parts).toString('latin1');
}

export function statuses(said) {
  // A body ends without a newline, and the next answer begins right behind it.
  return [...said.matchAll(/HTTP\/1\.[01] (\d{3}) /g)].map((m) => Number(m[1]));
}

// Runs work(item) for all items, so many at a time.
export async function each(items, width, work) {
  const list = [...items];
  let at = 0;
  await Promise.all(Array.from({ length: Math.min(width, list.length) }, async () => {
    while (at < list.length) {
      const i = at++;
      await work(list[i], i);
    }
  }));
}

const HELD = ['weft_connections', 'weft_subscribers', 'weft_ws_connections'];

// What the node holds for its clients; taken again later it has to be the same.
export async function held(node) {
  const metrics = await node.metrics();
  return Object.fromEntries(HELD.map((name) => [name, metrics[name]]));
}

export async function heldAsBefore(node, before) {
  let now;
  // The question itself is one connection, and another may be kept alive for the next.
  await until(async () => {
    now = await held(node);
    return HELD.every((name) => Math.abs(now[name] - before[name]) <= (name === 'weft_connections' ? 2 : 0));
  }, { what: 'the node to hold what it held before', ms: 20_000, every: 50 }).catch((error) => {
    throw new Error(`${error.message}: ${JSON.stringify(before)} before, ${JSON.stringify(now)} now`);
  });
}

// It lives, and does its work.
export async function serves(w, node) {
  assert.ok(node.running, 'the node lives');
  const api = w.client(node);
  assert.equal((await api.get('/healthz')).status, 200);
  const stream = await w.follow(node, 'topic=afterwards');
  const ids = await api.published('afterwards', [{ type: 'after', payload: {} }]);
  assert.deepEqual((await stream.take(1)).map((e) => e.id), ids);
  stream.cut();
}
