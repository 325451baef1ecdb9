// WebSockets against the node: pages of other sites, floods of pings and of publishing, messages without end, subscriptions without
// number, clients that never read, closes in every order. What is bounded stays in its bounds, and healthy clients do not notice.
import assert from 'node:assert/strict';
import { story } from './lib/story.mjs';
import { converse, dial, each, held, heldAsBefore, JSON_TYPE, post, reset, serves, statuses } from './lib/abuse.mjs';
import { undisturbed } from './lib/healthy.mjs';
import { Issuer } from './lib/token.mjs';
import { deadline, QUICK, until } from './lib/wait.mjs';
import { closePayload, frame, PING, TEXT } from './lib/ws.mjs';

const UPGRADE = 'GET /ws HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n';
const text = (message) => frame(TEXT, typeof message === 'string' ? message : JSON.stringify(message));

// A socket of a client that only sends; over when the node has closed it.
function open(node, bytes = Buffer.alloc(0)) {
  const socket = dial(node);
  socket.write(Buffer.concat([Buffer.from(UPGRADE), bytes]));
  return socket;
}

// Writes again and again while the socket takes it, for so many bytes in all.
function pump(socket, bytes, total) {
  return new Promise((resolve) => {
    let sent = 0;
    const more = () => {
      while (!socket.destroyed && sent < total) {
        sent += bytes.length;
        if (!socket.write(bytes)) return;
      }
      resolve();
    };
    socket.on('drain', more);
    socket.on('close', resolve);
    more();
  });
}

story('pages of other sites: no WebSocket and no change, with a cookie or without', async (w) => {
  const issuer = new Issuer(w.folder);
  const [node] = await w.cluster(1, { node: { set: { auth: { anonymous: 'none', jwks: issuer.file } } } });
  const token = issuer.token({ publish: ['*'], subscribe: ['*'], roles: ['operator'] });
  const host = `127.0.0.1:${node.port}`;
  const upgrade = (extra) => `GET /ws HTTP/1.1\r\nHost: ${host}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n${extra}\r\n`;
  const credentials = [`Cookie: weft_token=${token}\r\n`, `Authorization: Bearer ${token}\r\n`, `Sec-WebSocket-Protocol: weft.v1, weft.token.${token}\r\n`, ''];
  const foreign = ['https://evil.example.org', 'null', 'http://127.0.0.1', `https://${host}.evil`, `http://${host}@evil`, `http://evil/${host}`, 'http://', 'file://', `http://127.0.0.1:${node.port + 1}`, ` http://evil`, 'http://x', `http://${host}\t`, `javascript://${host}`, `http://${host}/`,
    `http://${host}, http://evil`, '*'];
  const own = [undefined, `http://${host}`];
  await undisturbed(w, node, async () => {
    for (const credential of credentials) {
      for (const origin of foreign) {
        const said = await converse(node, upgrade(`Origin: ${origin}\r\n${credential}`), { quietMs: 300 });
        // White space around a value is not part of it.
        if (origin.trim() === `http://${host}`) continue;
        assert.deepEqual(statuses(said), [403], `${origin}, ${credential.slice(0, 20)}: ${said.slice(0, 60)}`);
      }
      for (const origin of own) {
        if (credential === '') continue;
        const said = await converse(node, upgrade(`${origin === undefined ? '' : `Origin: ${origin}\r\n`}${credential}`), { quietMs: 50 });
        assert.deepEqual(statuses(said), [101], `${origin}, ${credential.slice(0, 20)}: ${said.slice(0, 60)}`);
      }
    }
    // Two Origins: whichever of them counts.
    for (const pair of [[`http://${host}`, 'https://evil'], ['https://evil', `http://${host}`]]) {
      const said = await converse(node, upgrade(`Origin: ${pair[0]}\r\nOrigin: ${pair[1]}\r\n${credentials[0]}`), { quietMs: 50 });
      assert.deepEqual(statuses(said), [403], pair.join(' and '));
      const posted = await converse(node, post('/api/topics/t/events', '{"type":"evil"}', `Origin: ${pair[0]}\r\nOrigin: ${pair[1]}\r\n${credentials[0]}Connection: close\r\n`));
      assert.deepEqual(statuses(posted), [403], pair.join(' and '));
    }
    const changes = [['POST', '/api/topics/t/events', '{"type":"evil"}'], ['PUT', '/api/breakers/b', '{}'], ['DELETE', '/api/breakers/b', ''], ['PUT', '/api/limits/b', '{"capacity":1,"refill_per_s":1}'], ['POST', '/api/limits/b/take', '{}'], ['PUT', '/api/revocations/j', '{}'], ['POST', '/api/services/s/stop', ''],
      ['GET', '/api/limits/b/check', ''], ['POST', '/api/limits/b/check', '']];
    const before = await w.store.cmd('KEYS', '*');
    for (const origin of foreign.filter((one) => one.trim() !== `http://${host}`)) {
      for (const type of ['application/json', 'text/plain', 'application/x-www-form-urlencoded', 'multipart/form-data; boundary=x']) {
        for (const [method, path, body] of changes) {
          const said = await converse(node, post(path, body, `Origin: ${origin}\r\n${credentials[0]}Connection: close\r\n`).replace('POST', method).replace(`Host: x\r\n${JSON_TYPE}`, `Host: ${host}\r\nContent-Type: ${type}\r\n`));
          const want = method === 'GET' ? 401 : 403; // whoever only reads is not lent the cookie
          assert.deepEqual(statuses(said), [want], `${method} ${path} ${origin} ${said.slice(0, 100)}`);
        }
      }
    }
    assert.deepEqual((await w.store.cmd('KEYS', '*')).filter((key) => !before.includes(key)), []);
  }, { token, ...(QUICK ? {} : { rate: 20 }) });
}, { timeout: 120_000 });

story('floods: pings, nonsense, publishing over ws.max_pending; and nobody reads', async (w) => {
  const [node] = await w.cluster(1, { node: { set: { http: { write_stall_ms: 1500 }, ws: { max_pending: 16, queue_bytes: 16384 }, history: { max_events: 1000 } } } });
  const before = await held(node);
  const rss = async () => (await node.metrics()).process_resident_memory_bytes / 2 ** 20;
  const from = await rss();
  const total = (QUICK ? 0.3 : 1.5) * 2 ** 20;
  await undisturbed(w, node, async () => {
    const kinds = [
      frame(PING, 'x'.repeat(125)), frame(PING, ''), text({ op: 'ping', request: 'r' }), text('nonsense'), text({ op: 'publish', request: 'r', topic: 't', event: { type: 'a' } }),
      text({ op: 'auth', token: 'x'.repeat(8000) }), text(`{"op":"publish","topic":"t","events":[${'{"type":"a"},'.repeat(50)}{"type":"a"}]}`), frame(10, 'y'.repeat(100)),
    ];
    const sockets = Array.from({ length: kinds.length * 4 }, (_, i) => {
      const socket = open(node);
      // Only from its answer on: what comes behind the request itself is little, or the end.
      socket.opened = new Promise((resolve) => socket.once('data', resolve)).then(() => (i % 4 > 0 ? socket.pause() : socket.resume()));
      return socket;
    });
    await deadline(Promise.all(sockets.map((socket) => socket.opened)), { what: 'all sockets to be open' });
    const pumped = sockets.map((socket, i) => pump(socket, Buffer.concat(Array(20).fill(kinds[i >> 2])), total));
    // Who reads gets to send it all; who does not is stopped, and cut.
    await deadline(Promise.all(pumped.filter((_, i) => i % 4 === 0)), { what: 'the floods to be over', ms: 60_000 });
    // Publishing is refused beyond its bound, and who does not read is not read from.
    await node.metricReaches('weft_ws_busy_total', (n) => n > 0);
    await node.metricReaches('weft_ws_pauses_total', (n) => n > 0);
    const most = await rss();
    w.note(`resident ${from.toFixed(0)} -> ${most.toFixed(0)} MiB`);
    for (const socket of sockets) socket.destroy();
    assert.ok(most < from + 400, 'memory is bounded'); // of which 256 MiB are what a sanitizer keeps back
  }, QUICK ? {} : { rate: 20 });
  await heldAsBefore(node, before);
  await serves(w, node);
}, { timeout: 180_000 });

story('subscriptions without number, made and unmade as fast as it goes', async (w) => {
  const [node] = await w.cluster(1, { node: { set: { ws: { max_subscriptions: 100 }, http: { max_topics: 100 } } } });
  const before = await held(node);
  const many = (k) => Array.from({ length: 100 }, (_, i) => `many:${(k * 37 + i) % 400}`);
  await undisturbed(w, node, async () => {
    const big = await w.ws(node);
    for (let k = 0; k < 100; k++) big.send({ op: 'subscribe', request: `s${k}`, subscription: `n${k}`, topics: many(k) });
    await big.until(() => big.control('weft.ok').length === 100 && big.control('weft.open').length === 100, { what: 'a hundred subscriptions' });
    const over = await big.ask('subscribe', { subscription: 'more', topics: ['x'] });
    assert.equal(over.type, 'weft.error');
    const wide = await big.ask('subscribe', { subscription: 'wide', topics: Array.from({ length: 101 }, (_, i) => `t${i}`) });
    assert.equal(wide.type, 'weft.error');
    // One event for each subscription that has its topic, once.
    const [id] = await w.client(node).published('many:200', [{ type: 'a' }]);
    const want = Array.from({ length: 100 }, (_, k) => k).filter((k) => many(k).includes('many:200'));
    await big.take(want.length);
    assert.deepEqual(big.events.map((e) => e.id), want.map(() => id));
    assert.deepEqual([...big.of.keys()].sort(), want.map((k) => `n${k}`).sort());

    const churners = QUICK ? 10 : 40;
    const rounds = QUICK ? 50 : 200;
    await each(Array(churners).keys(), churners, async (c) => {
      const ws = await w.ws(node, { keep: true });
      const bytes = [];
      for (let k = 0; k < rounds; k++) {
        bytes.push(text({ op: 'subscribe', subscription: 'c', topics: [`many:${(c * 7 + k) % 400}`, 'many:*'], ...(k % 3 === 0 ? { since: 'earliest' } : {}) }), text({ op: 'unsubscribe', request: `u${k}`, subscription: 'c' }));
        if (bytes.length === 20) ws.raw(Buffer.concat(bytes.splice(0)));
      }
      ws.raw(Buffer.concat(bytes));
      await ws.until(() => ws.all.some((m) => m.request === `u${rounds - 1}`), { what: 'the last answer', ms: 30_000 });
      assert.equal(ws.control('weft.ok').length, 2 * rounds);
      ws.cut();
    });
    big.cut();
  }, QUICK ? {} : { rate: 20 });
  await heldAsBefore(node, before);
  await serves(w, node);
}, { timeout: 180_000 });

story('closes in every order, in the middle of everything', async (w) => {
  const [node] = await w.cluster();
  const before = await held(node);
  const random = w.random();
  const rounds = QUICK ? 600 : 3000;
  const api = w.client(node);
  await api.published('past', Array.from({ length: 500 }, (_, n) => ({ type: 'a', payload: { n, s: 'x'.repeat(500) } })));
  const steps = [
    (s) => s.write(frame(8, closePayload(1000))), (s) => s.write(frame(8, '')), (s) => s.write(frame(8, 'x')), (s) => s.write(frame(8, closePayload(1005))), (s) => s.write(frame(8, closePayload(4000, 'y'.repeat(123)))),
    (s) => s.write(text({ op: 'subscribe', topics: ['past', 'steady'], since: 'earliest' })), (s) => s.write(text({ op: 'publish', topic: 'p', event: { type: 'a' }, request: 'r' })), (s) => s.write(frame(PING, 'p')), (s) => s.write(frame(3, '')),
    (s) => s.write(text({ op: 'unsubscribe' })), (s) => s.end(), (s) => s.pause(), (s) => s.resume(), () => new Promise(setImmediate), () => new Promise(setImmediate),
  ];
  await undisturbed(w, node, async () => {
    await each(Array(rounds).keys(), 40, async () => {
      const socket = open(node);
      if (random.chance(0.7)) socket.resume();
      for (let k = random.between(1, 7); k > 0 && socket.writable; k--) await random.pick(steps)(socket);
      if (random.chance(0.5)) reset(socket);
      else socket.destroy();
    });
  }, QUICK ? {} : { rate: 20 });
  await heldAsBefore(node, before);
  await until(async () => (await node.metric('weft_ws_opened_total')) > rounds / 10, { what: 'many sockets to have been' });
  await serves(w, node);
}, { timeout: 180_000 });
