// Limits. More clients than the node has room for, fewer descriptors than it wants, readers that stop reading, clients that
// vanish, a Redis that stands still: each costs only the one who causes it, is counted, and is over when its cause is.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import net from 'node:net';
import { story } from './lib/story.mjs';
import { event, RawHttp } from './lib/http.mjs';
import { deadline, SLOW, sleep, until } from './lib/wait.mjs';

// Clock ticks (of 10 ms) that the process has used.
function cpuTicks(pid) {
  const stat = readFileSync(`/proc/${pid}/stat`, 'latin1');
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  return Number(fields[11]) + Number(fields[12]);
}

async function rawMetric(raw, name) {
  await raw.write('GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n');
  const { body } = await raw.response();
  return Number(new RegExp(`^${name} (\\S+)$`, 'm').exec(body)[1]);
}

story('the connection cap: further ones are refused and counted, and there is room again later', async (w) => {
  const cap = 20;
  const [node] = await w.cluster(1, { node: { set: { http: { max_connections: cap } } } });
  const inside = new RawHttp(node.port);
  await rawMetric(inside, 'weft_connections');
  const streams = await Promise.all(Array.from({ length: cap - 1 }, () => w.follow(node, 'topic=t')));
  assert.equal(await rawMetric(inside, 'weft_connections'), cap);
  const before = await rawMetric(inside, 'weft_connections_refused_total');
  for (let i = 0; i < 5; i++) {
    const raw = new RawHttp(node.port);
    await raw.write('GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n');
    const said = await raw.rest(5000);
    if (said !== '') assert.match(said, /^HTTP\/1\.1 503 /);
    raw.destroy();
  }
  assert.ok((await rawMetric(inside, 'weft_connections_refused_total')) >= before + 5);
  // Those inside are served as before.
  await inside.write(`POST /api/topics/t/events HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 12\r\n\r\n{"type":"a"}`);
  assert.equal((await inside.response()).status, 201);
  for (const stream of streams) await stream.take(1);
  for (const stream of streams.slice(0, 10)) stream.cut();
  await until(async () => (await rawMetric(inside, 'weft_connections')) <= cap - 10, { what: 'the cut connections to be gone' });
  const again = await w.follow(node, 'topic=t');
  await inside.write(`POST /api/topics/t/events HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 12\r\n\r\n{"type":"b"}`);
  assert.equal((await inside.response()).status, 201);
  await again.take(1);
  inside.destroy();
});

story('descriptors run out: no spinning, and the node recovers', async (w) => {
  await w.redis();
  const node = await w.node({ wrap: ['sh', '-c', 'ulimit -n 64; exec "$@"', 'sh'] });
  const streams = await Promise.all(Array.from({ length: 5 }, () => w.follow(node, 'topic=t')));
  const sockets = [];
  const connected = Array.from({ length: 150 }, () => new Promise((resolve) => {
    const socket = net.connect({ port: node.port, host: '127.0.0.1' });
    socket.on('connect', resolve);
    socket.on('error', resolve);
    sockets.push(socket);
  }));
  await deadline(Promise.all(connected), { what: 'the connections' });
  const before = cpuTicks(node.pid);
  await sleep(2000);
  const used = cpuTicks(node.pid) - before;
  w.note(`${used} ticks of CPU in 2 s without descriptors`);
  assert.ok(used < 60, `${used} ticks of CPU in 2 s: it spins`);
  for (const socket of sockets) socket.destroy();
  const api = w.client(node);
  const [id] = await until(() => api.published('t', event(1)), { what: 'the node to serve again', every: 100 });
  for (const stream of streams) {
    await stream.until(() => stream.events.at(-1)?.id === id, { what: 'the event' });
  }
});

story('a reader that stops reading is cut; the others do not wait for it', async (w) => {
  const [node] = await w.cluster(1, { node: { set: { http: { write_stall_ms: 700 }, history: { max_events: 0 } } } });
  const api = w.client(node);
  const good = await Promise.all(Array.from({ length: 3 }, () => w.follow(node, 'topic=t')));
  const stalled = await Promise.all(Array.from({ length: 4 }, () => w.follow(node, 'topic=t')));
  for (const stream of stalled) stream.pause();
  const before = await node.metric('weft_subscriber_stalled_total');
  const text = 'x'.repeat(100_000);
  const count = 150;
  for (let n = 1; n <= count; n++) await api.published('t', { type: 'big', payload: { n, text } });
  for (const stream of good) {
    const got = await stream.take(count);
    assert.deepEqual(got.map((e) => e.payload.n), Array.from({ length: count }, (_, i) => i + 1));
  }
  await node.metricReaches('weft_subscribers', 3);
  assert.equal(await node.metric('weft_subscriber_stalled_total'), before + 4);
  // What a cut reader had not got, it gets by its cursor.
  const [behind] = stalled;
  behind.resume();
  await deadline(behind.closed, { what: 'the stalled stream to be closed' });
  const again = await w.follow(node, 'topic=t', { lastEventId: behind.lastId });
  await again.until(() => again.events.at(-1)?.payload.n === count, { what: 'the rest' });
  assert.deepEqual([...behind.events, ...again.events].map((e) => e.payload.n), Array.from({ length: count }, (_, i) => i + 1));
}, { timeout: 120_000 });

story('a reader that is slow, but reads, stays, and misses nothing', async (w) => {
  const stall = 1000 * SLOW;
  const [node] = await w.cluster(1, { node: { set: { http: { write_stall_ms: stall }, history: { max_events: 0 }, ring: { events: 10 } } } });
  const api = w.client(node);
  const slow = await w.follow(node, 'topic=t');
  const text = 'x'.repeat(50_000);
  const count = 300;
  // Sips from the first event on, of what comes at once: more of them than fit into the time that the node allows without a byte.
  slow.pause();
  const began = performance.now();
  const sips = (async () => {
    while (slow.events.length < count && !slow.ended) {
      const { bytes } = slow;
      slow.resume();
      await slow.until(() => slow.bytes > bytes, { what: 'a sip' });
      slow.pause();
      await sleep(stall / 50);
    }
    return performance.now() - began;
  })();
  sips.catch(() => {}); // awaited below
  for (let n = 1; n <= count; n++) await api.published('t', { type: 'big', payload: { n, text } });
  const took = await sips;
  assert.ok(!slow.ended, 'cut although it reads');
  assert.ok(took > 2 * stall, 'it was slow');
  assert.deepEqual(slow.events.map((e) => e.payload.n), Array.from({ length: count }, (_, i) => i + 1));
  assert.deepEqual(slow.control('weft.gap'), []);
}, { timeout: 120_000 });

story('a client that goes away is noticed', async (w) => {
  const [node] = await w.cluster();
  for (const [how, leave] of [
    ['a reset', (stream) => stream.socket.resetAndDestroy()],
    ['an end', (stream) => stream.socket.end()],
    ['a close', (stream) => stream.cut()],
  ]) {
    const streams = await Promise.all(Array.from({ length: 50 }, (_, i) => w.follow(node, i % 2 ? 'topic=t' : 'topic=*')));
    assert.equal(await node.metric('weft_subscribers'), 50);
    for (const stream of streams) leave(stream);
    await node.metricReaches('weft_subscribers', 0, { what: `50 subscribers to be gone after ${how}` });
  }
});

story('publishes that wait for Redis are bounded: busy at once for those beyond', async (w) => {
  const [node] = await w.cluster(1, { node: { set: { publish: { max_batch: 10, queue_events: 10 }, redis: { command_timeout_ms: 20_000 } } } });
  const api = w.client(node);
  await api.published('t', event(0));
  w.store.program.signal('SIGSTOP');
  const answers = [];
  let pending;
  try {
    pending = Array.from({ length: 32 }, (_, n) => api.publish('t', event(n)).then((answer) => answers.push(answer)));
    await until(() => answers.length >= 12, { what: 'refusals while Redis stands still' });
    for (const answer of answers) {
      assert.equal(answer.status, 503, answer.text);
      assert.equal(answer.json.error.code, 'busy');
      assert.match(String(answer.headers['retry-after']), /^\d+$/);
    }
  } finally {
    w.store.program.signal('SIGCONT');
  }
  await deadline(Promise.all(pending), { what: 'the others' });
  const taken = answers.filter((answer) => answer.status === 201).length;
  assert.equal(await w.store.cmd('XLEN', 'weft:{0}:log:t'), taken + 1);
  assert.ok((await node.metric('weft_publish_queue_full_total')) >= 12);
});

story('an idle node sleeps', async (w) => {
  const [node] = await w.cluster();
  await Promise.all(Array.from({ length: 20 }, () => w.follow(node, 'topic=t')));
  const before = cpuTicks(node.pid);
  await sleep(2000);
  const used = cpuTicks(node.pid) - before;
  assert.ok(used < 20 * SLOW, `${used} ticks in 2 s`);
});
