// Valid requests of every route and messages of WebSockets, changed by chance, in pieces and one behind another, over many connections
// at a time. Whatever is made of them: the node lives, holds nothing afterwards that it did not hold before, and serves.
import assert from 'node:assert/strict';
import { story } from './lib/story.mjs';
import { dial, each, held, heldAsBefore, reset, serves } from './lib/abuse.mjs';
import { undisturbed } from './lib/healthy.mjs';
import { messages, mutate, requests } from './lib/mutate.mjs';
import { deadline, QUICK } from './lib/wait.mjs';

const REQUESTS = QUICK ? 20_000 : 100_000;
const MESSAGES = QUICK ? 6_000 : 30_000;
const UPGRADE = 'GET /ws HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n';

function pieces(random, bytes) {
  if (random.chance(0.6)) return [bytes];
  const cuts = Array.from({ length: random.between(1, 4) }, () => random.below(bytes.length + 1)).sort((a, b) => a - b);
  return [0, ...cuts].map((from, i) => bytes.subarray(from, cuts[i] ?? bytes.length));
}

// Says these bytes, waits for something to be said in return, but not long, and leaves in one way or the other.
async function bother(node, random, bytes, mostMs, said) {
  const socket = dial(node);
  const heard = new Promise((resolve) => {
    socket.once('data', resolve);
    socket.once('close', resolve);
    setTimeout(resolve, mostMs);
  });
  socket.on('data', (data) => {
    for (const [, status] of data.toString('latin1').matchAll(/HTTP\/1\.1 (\d)\d\d /g)) said[status]++;
  });
  for (const piece of pieces(random, bytes)) {
    socket.write(piece);
    if (random.chance(0.3)) await new Promise(setImmediate);
  }
  await heard;
  if (random.chance(0.1)) reset(socket);
  else socket.end();
  // It is for the node to close: a connection that it forgets is found here.
  await deadline(socket.over, { what: `the end of ${JSON.stringify(bytes.toString('latin1').slice(0, 2000))}`, ms: 20_000 });
}

async function survives(w, node, rounds) {
  const rss = async () => (await node.metrics()).process_resident_memory_bytes / 2 ** 20;
  const from = await rss();
  const began = performance.now();
  const said = { 1: 0, 2: 0, 3: 0, 4: 0, 5: 0 };
  const n = await rounds(said);
  w.note(`answers ${Object.entries(said).map(([digit, count]) => `${digit}xx ${count}`).join(', ')}`);
  const to = await rss();
  w.note(`${n} in ${((performance.now() - began) / 1000).toFixed(1)} s; resident ${from.toFixed(0)} -> ${to.toFixed(0)} MiB`);
  assert.ok(to < from + 400, 'memory is bounded'); // of which 256 MiB are what a sanitizer keeps back
}

story(`${REQUESTS} requests changed by chance`, async (w) => {
  const [node] = await w.cluster(1, { node: { set: { http: { request_timeout_ms: 1500 }, history: { max_events: 100 } } } });
  const random = w.random();
  const makers = requests(random);
  assert.ok(makers.length > 40);
  const before = await held(node);
  await undisturbed(w, node, () => survives(w, node, async (said) => {
    let n = 0;
    const changed = () => {
      let text = random.pick(makers)();
      for (let k = random.pick([1, 1, 1, 2, 4]); k > 0; k--) text = mutate(random, text, random.pick(makers)()) || '\r\n';
      n++;
      return text;
    };
    // Often behind one that is right, and two by two: what is broken is the last thing that is read of a connection.
    await each(Array(REQUESTS / 2).keys(), 48, async () => {
      const bytes = (random.chance(0.5) ? random.pick(makers)() : '') + changed() + changed();
      await bother(node, random, Buffer.from(bytes, 'latin1'), 10, said);
    });
    assert.ok(said[2] > n / 100 && said[4] > n / 100, 'most are not understood, but not all');
    return n;
  }), QUICK ? {} : { rate: 20 });
  await heldAsBefore(node, before);
  await serves(w, node);
}, { timeout: 200_000 });

story(`${MESSAGES} WebSocket messages changed by chance`, async (w) => {
  const [node] = await w.cluster(1, { node: { set: { http: { request_timeout_ms: 1500 }, history: { max_events: 100 } } } });
  const random = w.random();
  const before = await held(node);
  await undisturbed(w, node, () => survives(w, node, async (said) => {
    let n = 0;
    const batches = Math.ceil(MESSAGES / 6);
    await each(Array(batches).keys(), 48, async () => {
      const list = Array.from({ length: 6 }, () => messages(random));
      n += list.length;
      await bother(node, random, Buffer.concat([Buffer.from(UPGRADE), ...list]), 15, said);
    });
    return n;
  }), QUICK ? {} : { rate: 20 });
  await heldAsBefore(node, before);
  await serves(w, node);
}, { timeout: 200_000 });
