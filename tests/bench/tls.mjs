// What TLS costs a node, beside the same in the clear, in one run: CPU of a connection with one request, CPU of a delivered
// event, memory of an idle stream. Starts a Redis and nodes of its own, and ends them.
//
//   node tests/bench/tls.mjs [--streams 1000] [--events 200] [--connections 2000] [--rounds 3]
import net from 'node:net';
import tls from 'node:tls';
import { readFileSync, readdirSync } from 'node:fs';
import { parseArgs } from 'node:util';
import { Certificates } from '../black/lib/certificates.mjs';
import { Client, event } from '../black/lib/http.mjs';
import { World } from '../black/lib/story.mjs';
import { sleep, until } from '../black/lib/wait.mjs';

const { values } = parseArgs({
  options: {
    streams: { type: 'string', default: '1000' },
    events: { type: 'string', default: '200' },
    connections: { type: 'string', default: '2000' },
    rounds: { type: 'string', default: '3' },
  },
});
const [STREAMS, EVENTS, CONNECTIONS, ROUNDS] = ['streams', 'events', 'connections', 'rounds'].map((name) => Number(values[name]));
const KINDS = ['clear', 'TLSv1.3', 'TLSv1.2'];

// Nanoseconds that its threads have run.
function cpuOf(pid) {
  let sum = 0;
  for (const task of readdirSync(`/proc/${pid}/task`)) sum += Number(readFileSync(`/proc/${pid}/task/${task}/schedstat`, 'utf8').split(' ')[0]);
  return sum;
}

function residentOf(pid) {
  return Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))[1]) * 1024;
}

function connect(node, kind, more = {}) {
  const to = { port: node.port, host: '127.0.0.1' };
  return kind === 'clear' ? net.connect(to) : tls.connect({ ...to, ca: node.ca, minVersion: kind, maxVersion: kind, ...more });
}

const REQUEST = 'GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n';

function once(node, kind, more) {
  return new Promise((resolve, reject) => {
    const socket = connect(node, kind, more);
    let session;
    socket.on('session', (given) => (session = given));
    socket.on('error', reject);
    socket.on(kind === 'clear' ? 'connect' : 'secureConnect', () => socket.write(REQUEST));
    socket.on('data', () => {});
    socket.on('close', () => resolve(session));
  });
}

// Microseconds of the node for a connection, its handshake, and one request.
async function connections(node, kind, session) {
  const before = cpuOf(node.pid);
  let left = CONNECTIONS;
  await Promise.all(Array.from({ length: 8 }, async () => {
    while (left-- > 0) await once(node, kind, session ? { session } : {});
  }));
  return (cpuOf(node.pid) - before) / 1000 / CONNECTIONS;
}

function stream(node, kind) {
  return new Promise((resolve, reject) => {
    const socket = connect(node, kind);
    socket.on('error', reject);
    socket.on(kind === 'clear' ? 'connect' : 'secureConnect', () => {
      socket.write('GET /api/events?topic=t HTTP/1.1\r\nHost: x\r\nAccept: text/event-stream\r\n\r\n');
    });
    socket.once('data', () => resolve(socket));
  });
}

// On a connection that is kept: a handshake for each look would be measured as well.
async function delivered(api) {
  return Number(/^weft_deliveries_total (\d+)/m.exec((await api.get('/metrics')).text)[1]);
}

// Memory of an idle stream, and microseconds of the node for a delivery, one event at a time and twenty.
async function streams(node, kind) {
  const api = new Client(node.origin, { ca: node.ca });
  const origin = residentOf(node.pid);
  const sockets = [];
  while (sockets.length < STREAMS) sockets.push(...(await Promise.all(Array.from({ length: Math.min(50, STREAMS - sockets.length) }, () => stream(node, kind)))));
  await node.metricReaches('weft_subscribers', STREAMS);
  await sleep(1500);
  const idle = (residentOf(node.pid) - origin) / STREAMS;
  const cost = {};
  for (const batch of [1, 20]) {
    const already = await delivered(api);
    const before = cpuOf(node.pid);
    for (let n = 0; n < EVENTS; n += batch) {
      await api.published('t', Array.from({ length: batch }, () => event(n, { payload: { text: 'x'.repeat(100) } })));
      await until(async () => (await delivered(api)) >= already + STREAMS * (n + batch), { what: 'deliveries', every: 5 });
    }
    cost[batch] = (cpuOf(node.pid) - before) / 1000 / (STREAMS * EVENTS);
  }
  for (const socket of sockets) socket.destroy();
  await node.metricReaches('weft_subscribers', 0);
  await api.close();
  return { idle, cost };
}

function median(list) {
  return [...list].sort((a, b) => a - b)[list.length >> 1];
}

const world = new World({ diagnostic: console.error });
const results = {};
function add(what, kind, value) {
  ((results[what] ??= {})[kind] ??= []).push(value);
}

try {
  const made = new Certificates(world.folder);
  const ca = readFileSync(await made.authority('ca'), 'utf8');
  const pair = await made.sign('ca', 'node', 'IP:127.0.0.1');
  await world.redis();
  for (let round = 0; round < ROUNDS; round++) {
    for (const kind of KINDS) {
      const secure = kind === 'clear' ? {} : { ca, set: { tls: pair } };
      const node = await world.node({ id: `${kind}-${round}`.replace('.', '_'), ...secure, env: { WEFT_WORKERS: '1' } });
      const session = await once(node, kind);
      add('connection and request, us', kind, await connections(node, kind));
      if (session) add('the same, resumed, us', kind, await connections(node, kind, session));
      // A node that has served thousands has free memory of its own: idle streams are measured on a fresh one.
      await node.stop();
      const fresh = await world.node({ id: `${kind}-${round}b`.replace('.', '_'), ...secure, env: { WEFT_WORKERS: '1' } });
      const { idle, cost } = await streams(fresh, kind);
      add('idle stream, KB', kind, idle / 1000);
      add('delivery, alone, us', kind, cost[1]);
      add('delivery, of 20, us', kind, cost[20]);
      await fresh.stop();
    }
  }
} finally {
  await world.end(false);
}
console.log(`medians of ${ROUNDS}; ${STREAMS} streams\n`);
for (const [what, kinds] of Object.entries(results)) {
  const clear = kinds.clear && median(kinds.clear);
  const cells = KINDS.filter((kind) => kinds[kind]).map((kind) => `${kind} ${median(kinds[kind]).toFixed(2)}${clear && kind !== 'clear' ? ` (x${(median(kinds[kind]) / clear).toFixed(2)})` : ''}`);
  console.log(`${what.padEnd(28)} ${cells.join('   ')}`);
}
