// The life of WebSockets: cut at any place and resumed, nothing is lost or repeated; slow ones are bounded and hurt nobody; they
// live through Redis being away, are sent elsewhere in order, and end with the token that they came with.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { WebSocket } from 'ws';
import { Certificates } from './lib/certificates.mjs';
import { story } from './lib/story.mjs';
import { event, events } from './lib/http.mjs';
import { bearer, Issuer } from './lib/token.mjs';
import { deadline, QUICK, SLOW, sleep, until } from './lib/wait.mjs';
import { frame, TEXT } from './lib/ws.mjs';

const CLEAN = { code: 0, signal: null };
const LONG = { node: { set: { drain: { period_ms: 600_000 } } } };
const ids = (list) => list.map((e) => e.id);
const EVENTS = QUICK ? 200 : 1000;

story(`${EVENTS} events, the socket cut at random places: none is lost, none comes twice`, async (w) => {
  const random = w.random();
  const nodes = await w.cluster(2, { node: { set: { ring: { events: 50 } } } });
  const apis = nodes.map((node) => w.client(node));
  const topics = ['a', 'b', 'repo:1', 'repo:2'];
  const published = [];
  const got = [];
  let cursor;
  let cuts = 0;

  async function publisher() {
    for (let n = 0; n < EVENTS;) {
      const k = Math.min(EVENTS - n, random.between(1, 10));
      const batch = Array.from({ length: k }, () => event(n++, { topics: random.some(topics, random.between(1, 2)) }));
      const answer = await random.pick(apis).published('x', batch);
      published.push(...answer);
      await sleep(random.below(3));
    }
  }

  async function follower(done) {
    while (got.length < EVENTS) {
      const ws = w.websocket(random.pick(nodes), { keep: false });
      const before = got.length;
      const limit = random.between(1, 40);
      ws.onEvent = (e, name) => {
        if (name === undefined || got.length - before >= limit) return; // what is on its way after the cut was not seen
        got.push(e.id);
        cursor = e.id;
      };
      await ws.open();
      await ws.subscribe(['a', 'b', 'repo:*'], { ...(cursor && { cursor }), ...(random.chance(0.5) && { subscription: 's' }) });
      if (cursor === undefined) {
        cursor = ws.control('weft.open')[0].cursor;
        done();
      }
      await ws.until(() => got.length - before >= limit || got.length >= EVENTS, { what: 'events', mayEnd: true });
      assert.deepEqual(ws.control('weft.gap'), []);
      ws.cut();
      cuts++;
    }
  }

  let started;
  const start = new Promise((resolve) => {
    started = resolve;
  });
  const following = follower(started);
  await start;
  await publisher();
  await following;
  w.note(`${cuts} connections`);
  // Batches of two publishers cannot overlap here, so the answers are in the order of the log.
  assert.deepEqual(got, published);
}, { timeout: 180_000 });

const PAD = 'x'.repeat(20_000);
const padded = (from, to) => events(from, to).map((e) => ({ ...e, payload: { ...e.payload, pad: PAD } }));

async function flood(api, topic, n) {
  const all = [];
  for (let from = 1; from <= n; from += 20) all.push(...(await api.published(topic, padded(from, from + 19))));
  return all;
}

const SMALL = { node: { set: { ring: { events: 20 }, slow: { latest_events: 10, latest_ms: 100 }, http: { write_stall_ms: 60_000 } } } };

for (const [policy, name] of [['replay', ''], ['latest', 'l'], ['close', 'c']]) {
  story(`a slow reader, ${policy}: bounded, told, and the others notice nothing`, async (w) => {
    const MANY = 600;
    const [node] = await w.cluster(1, SMALL);
    const api = w.client(node);
    const fast = await w.ws(node);
    await fast.subscribe('t');
    const slow = await w.ws(node);
    const { stream } = await slow.subscribe('t', { slow: policy, ...(name && { subscription: name }) });
    slow.pause();
    const all = await flood(api, 't', MANY);
    await fast.take(MANY, '', { ms: 30_000 });
    assert.deepEqual(ids(fast.events), all);
    if (policy !== 'close') {
      const one = await until(async () => (await api.get('/api/connections')).json.slowest.find((s) => s.stream === stream && s.stalled_ms > 0), { what: 'it to be seen' });
      assert.equal(one.slow, policy);
      assert.deepEqual(one.topics, ['t']);
      w.note(`${one.socket_bytes} bytes in the socket, ${one.unsent_bytes} in the node`);
      assert.ok(one.unsent_bytes <= 64 * 1024, `${one.unsent_bytes}`);
    }
    slow.resume();
    if (policy === 'replay') {
      await slow.take(MANY, '', { ms: 30_000 });
      assert.deepEqual(ids(slow.events), all);
      assert.deepEqual(slow.control('weft.gap'), []);
    } else if (policy === 'latest') {
      await slow.until(() => slow.events.at(-1)?.id === all.at(-1), { what: 'the newest event' });
      const gaps = slow.control('weft.gap', 'l');
      assert.ok(gaps.length > 0 && slow.events.length < MANY);
      assert.ok(gaps.every((g) => g.reason === 'slow' && g.topic === 't'));
    } else {
      const closed = await slow.waitControl('weft.closed');
      const last = slow.events.at(-1).id;
      assert.deepEqual(closed, { type: 'weft.closed', subscription: 'c', reason: 'slow', cursor: last });
      await slow.subscribe('t', { subscription: 'c', cursor: last }); // the socket is still there
      await slow.take(MANY, 'c', { ms: 30_000 });
      assert.deepEqual(ids(slow.events), all);
    }
  });
}

story('a subscription that reads the log does not hold up the others of its socket', async (w) => {
  const [node] = await w.cluster(1, SMALL);
  const api = w.client(node);
  const all = await flood(api, 'big', 400);
  const ws = await w.ws(node);
  await ws.subscribe('live', { subscription: 'live' });
  ws.send({ op: 'subscribe', topics: ['big'], since: 'earliest', subscription: 'big' });
  await ws.take(1, 'big');
  const [id] = await api.published('live', event(1));
  await ws.take(1, 'live');
  const before = ws.of.get('big').length;
  assert.equal(ws.of.get('live')[0].id, id);
  w.note(`the live event came after ${before} of ${all.length} of the log`);
  await ws.take(all.length, 'big', { ms: 30_000 });
  assert.deepEqual(ids(ws.of.get('big')), all);
});

story('a client that asks without reading the answers is not read any more, and then it is', async (w) => {
  const [node] = await w.cluster(1, { node: { set: { ws: { queue_bytes: 4096, max_pending: 10 }, http: { write_stall_ms: 60_000 } } } });
  const ws = await w.ws(node);
  ws.pause();
  const N = 60_000;
  const one = (i) => frame(TEXT, JSON.stringify({ op: 'subscribe', request: `${i}`, topics: ['a b'], types: ['x'.repeat(150)] }));
  for (let i = 0; i < N; i++) ws.raw(one(i));
  // Reading stops, and so the client's bytes stay with the client.
  let last = -1;
  await until(async () => {
    const now = ws.socket.bytesWritten - ws.socket.writableLength;
    const still = now === last && ws.socket.writableLength > 1_000_000;
    last = now;
    await sleep(300);
    return still;
  }, { what: 'the node to stop reading' });
  assert.ok((await node.metric('weft_ws_pauses_total')) >= 1);
  const taken = await node.metric('weft_ws_messages_total');
  assert.ok(taken < N, `${taken}`);
  // Others are served meanwhile.
  const other = await w.ws(node);
  assert.equal((await other.ask('ping')).type, 'weft.pong');
  ws.resume();
  await ws.until(() => ws.all.length === N, { what: 'all answers', ms: 30_000 });
  assert.deepEqual(ws.all.map((m) => Number(m.request)), Array.from({ length: N }, (_, i) => i));
}, { timeout: 120_000 });

story('one that takes no bytes for write_stall_ms is cut', async (w) => {
  const [node] = await w.cluster(1, { node: { set: { http: { write_stall_ms: 300 } } } });
  const api = w.client(node);
  const ws = await w.ws(node);
  await ws.subscribe('t');
  ws.pause();
  await flood(api, 't', 400);
  await node.metricReaches('weft_subscriber_stalled_total', 1);
  await node.metricReaches('weft_ws_connections', 0);
});

story('Redis is away and comes back: told once for the socket, nothing is lost', async (w) => {
  const [node] = await w.cluster(1, { node: { set: { redis: { backoff_min_ms: 20, backoff_max_ms: 200 } } } });
  const api = w.client(node);
  const ws = await w.ws(node);
  await ws.subscribe('t');
  await ws.subscribe('t', { subscription: 'two' });
  const first = await api.published('t', events(1, 2));
  await w.store.kill();
  assert.deepEqual(await ws.waitControl('weft.degraded'), { type: 'weft.degraded', reason: 'redis' });
  const refused = await ws.ask('publish', { topic: 't', event: event(3) });
  assert.deepEqual([refused.type, refused.code], ['weft.error', 'unavailable']);
  const late = await w.ws(node);
  await late.waitControl('weft.degraded');
  await w.store.restart();
  assert.deepEqual(await ws.waitControl('weft.recovered'), { type: 'weft.recovered' });
  await late.waitControl('weft.recovered');
  const more = (await until(async () => {
    const answer = await ws.ask('publish', { topic: 't', event: event(4) });
    return answer.type === 'weft.ok' ? answer : null;
  }, { what: 'publishing to work again' })).ids;
  await ws.take(3, '');
  await ws.take(3, 'two');
  assert.deepEqual(ids(ws.of.get('')), [...first, ...more]);
  assert.deepEqual(ids(ws.of.get('two')), [...first, ...more]);
  assert.equal(ws.control('weft.degraded').length, 1);
});

function movedOf(ws) {
  return ws.control('weft.moved')[0];
}

story('SIGTERM: each socket is told where it is and when to come back, and then closed with 1001', async (w) => {
  const [node] = await w.cluster(1, { node: { set: { drain: { period_ms: 1500 } } } });
  const api = w.client(node);
  const sockets = await Promise.all(Array.from({ length: 12 }, () => w.ws(node)));
  await Promise.all(sockets.slice(0, 10).map((ws, i) => Promise.all([ws.subscribe('t'), ...(i % 2 ? [ws.subscribe('t', { subscription: 'two' })] : [])])));
  node.program.signal('SIGTERM');
  await node.logged('node.draining');
  const published = await api.published('t', events(1, 3));
  assert.deepEqual(await deadline(node.program.exited, { what: 'the node to end' }), CLEAN);
  for (const [i, ws] of sockets.entries()) {
    assert.deepEqual(await ws.ending(), { code: 1001, reason: 'draining' });
    const moved = movedOf(ws);
    assert.equal(moved.reason, 'draining');
    assert.ok(moved.retry_ms >= 250 && moved.retry_ms <= 3000, `${moved.retry_ms}`);
    assert.equal(ws.control('weft.moved').length, 1);
    assert.equal(ws.all.at(-1), moved, 'nothing follows it');
    for (const name of i < 10 ? ['', ...(i % 2 ? ['two'] : [])] : []) {
      const got = ids(ws.of.get(name) ?? []);
      assert.ok(got.length === 0 || got.length === 3, `all of a publish, or none: ${got}`);
      if (got.length) assert.deepEqual(got, published);
    }
  }
  assert.equal((await node.logged('node.drained')).left, 0);
});

story('in a drain: what is under way is answered, who comes is sent on, and a second signal ends all', async (w) => {
  const [node] = await w.cluster(1, LONG);
  const ws = await w.ws(node);
  await ws.subscribe('t');
  const idle = await w.ws(node);
  node.program.signal('SIGTERM');
  await node.logged('node.draining');
  assert.equal((await idle.ending()).code, 1001); // it follows nothing: it has no turn to wait for
  const fresh = w.websocket(node);
  await fresh.open();
  assert.equal((await fresh.ending()).code, 1001);
  assert.equal(movedOf(fresh).reason, 'draining');
  assert.equal((await ws.ok('publish', { topic: 't', event: event(1) })).ids.length, 1);
  await ws.take(1);
  // Answered before the end, all of them.
  for (let n = 0; n < 50; n++) ws.send({ op: 'publish', request: `p${n}`, topic: 't', event: event(n) });
  node.program.signal('SIGTERM');
  assert.deepEqual(await deadline(node.program.exited, { what: 'the node to end' }), CLEAN);
  assert.equal((await ws.ending()).code, 1001);
  assert.equal(movedOf(ws).reason, 'draining');
  const answers = ws.all.filter((m) => /^p\d/.test(m.request));
  const taken = answers.filter((m) => m.type === 'weft.ok').flatMap((m) => m.ids);
  const held = await w.store.ids('t');
  assert.equal(held.length, taken.length + 1, 'nothing was taken without an answer');
});

story('a life of its own', async (w) => {
  const [node] = await w.cluster(1, { node: { set: { ws: { max_lifetime_ms: 1000 } } } });
  const ws = await w.ws(node);
  await ws.subscribe('t');
  assert.deepEqual(await ws.ending(), { code: 1001, reason: 'lifetime' });
  assert.equal(movedOf(ws).reason, 'lifetime');
  assert.equal(await node.metric('weft_ws_closed_total{why="moved"}'), 1);
});

story('over TLS: large and small, fast and slow, and to the end', async (w) => {
  const made = new Certificates(w.folder);
  const ca = readFileSync(await made.authority('ca'), 'utf8');
  const [node] = await w.cluster(1, { node: { ca, set: { ...SMALL.node.set, tls: await made.sign('ca', 'node', 'IP:127.0.0.1') } } });
  const behind = Buffer.concat([frame(TEXT, '{"op":"ping","request":"early"}'), frame(TEXT, '{"op":"subscribe","topics":["t"]}')]);
  const fast = await w.ws(node, { behind });
  const slow = await w.ws(node);
  await fast.answer('early');
  await fast.waitControl('weft.open');
  await slow.subscribe('t');
  slow.pause();
  const N = 200;
  for (let from = 1; from <= N; from += 20) {
    assert.equal((await fast.ok('publish', { topic: 't', events: padded(from, from + 19) })).ids.length, 20);
  }
  await fast.ok('publish', { topic: 't', event: event(N + 1) });
  await fast.take(N + 1, '', { ms: 30_000 });
  slow.resume();
  await slow.take(N + 1, '', { ms: 30_000 });
  assert.deepEqual(ids(slow.events), ids(fast.events));
  assert.deepEqual(slow.events.map((e) => e.payload.n), Array.from({ length: N + 1 }, (_, i) => i + 1));
  fast.close(1000);
  assert.equal((await fast.ending()).code, 1000);
  slow.raw(frame(TEXT, 'x', { rsv: 2 }));
  assert.equal((await slow.ending()).code, 1002);
  const client = new WebSocket(`wss://127.0.0.1:${node.port}/ws`, ['weft.v1'], { ca });
  w.atEnd(() => client.terminate());
  await deadline(new Promise((resolve, reject) => client.on('open', resolve).on('error', reject)), { what: 'an ordinary client' });
});

/* ---- tokens ---- */

async function locked(w, set = {}) {
  const issuer = new Issuer(w.folder);
  const [node] = await w.cluster(1, { node: { set: { auth: { anonymous: 'none', jwks: issuer.file, ...set.auth }, ws: { auth_ms: 60_000, ...set.ws } } } });
  return { issuer, node, api: w.client(node) };
}

story('a token at the upgrade: header, query, subprotocol; and later, as a message', async (w) => {
  const { issuer, node } = await locked(w);
  const token = issuer.token({ publish: ['a'], subscribe: ['a', 'b:*'] });
  const ways = [
    { headers: bearer(token) },
    { path: `/ws?access_token=${token}` },
    { protocols: ['weft.v1', `weft.token.${token}`] },
    { later: true },
  ];
  for (const { later, ...options } of ways) {
    const ws = await w.ws(node, options);
    if (later) {
      for (const [op, fields] of [['subscribe', { topics: ['a'] }], ['publish', { topic: 'a', event: event(1) }]]) {
        assert.equal((await ws.ask(op, fields)).code, 'unauthorized');
      }
      const wrong = await ws.ask('auth', { token: `${token}x` });
      assert.deepEqual([wrong.code, wrong.field], ['unauthorized', 'token']);
      const good = await ws.ok('auth', { token });
      assert.ok(good.expires_ms > Date.now() + 500_000);
    }
    await ws.subscribe(['a', 'b:1', 'b:*']);
    assert.equal((await ws.ok('publish', { topic: 'a', event: event(1) })).ids.length, 1);
    await ws.take(1);
    for (const [op, fields, field] of [
      ['subscribe', { subscription: 's', topics: ['a', 'c'] }, 'topics'],
      ['subscribe', { subscription: 's', topics: ['*'] }, 'topics'],
      ['topics', { add: ['c'] }, 'add'],
      ['publish', { topic: 'b', event: event(1) }, 'topic'],
      ['publish', { topic: 'a', event: event(1, { topics: ['a', 'b'] }) }, 'event.topics'],
      ['publish', { topic: 'a', events: [event(1), event(2, { topics: ['b'] })] }, 'events[1].topics'],
    ]) {
      const answer = await ws.ask(op, fields);
      assert.deepEqual([answer.code, answer.field], ['forbidden', field], JSON.stringify(answer));
    }
    assert.ok(!JSON.stringify(ws.head).includes(token), 'the token is not sent back');
    ws.cut();
  }
  for (const options of [{ headers: bearer('x.y.z') }, { protocols: ['weft.v1', 'weft.token.x.y.z'] }]) {
    await assert.rejects(w.ws(node, options), /handshake: 401/);
  }
  assert.equal(await w.store.cmd('EXISTS', 'weft:{0}:log:b'), 0);
});

story('no token in time: 4401', async (w) => {
  const { node } = await locked(w, { ws: { auth_ms: 300 } });
  const ws = await w.ws(node);
  assert.equal((await ws.ask('ping')).type, 'weft.pong');
  assert.equal((await ws.ending()).code, 4401);
  assert.equal(await node.metric('weft_ws_closed_total{why="policy"}'), 1);
});

story('a token that ends: told before, renewed or closed with 4401', async (w) => {
  const { issuer, node, api } = await locked(w, { auth: { expiring_ms: 60_000, leeway_s: 0 } });
  const short = () => bearer(issuer.token({ seconds: 4 * SLOW, subscribe: ['a', 'b'] }));
  const stays = await w.ws(node, { headers: short() });
  await stays.subscribe('a');
  await stays.subscribe('b', { subscription: 'b' });
  const told = await stays.waitControl('weft.expiring');
  assert.ok(told.in_ms <= 4000 * SLOW && told.expires_ms > 0);
  // One that does not allow all of it, and one of somebody else, do not take its place.
  const fresh = issuer.token({ subscribe: ['a'], publish: ['a'] });
  for (const token of [fresh, issuer.token({ sub: 'else', subscribe: ['*'] })]) {
    const answer = await stays.ask('auth', { token });
    assert.deepEqual([answer.code, answer.field], ['forbidden', 'token'], JSON.stringify(answer));
  }
  await stays.ok('unsubscribe', { subscription: 'b' });
  await stays.ok('auth', { token: fresh });
  // One with a token that ends after the first of the other.
  const ends = await w.ws(node, { headers: short() });
  await ends.subscribe('a');
  assert.deepEqual(await ends.ending(), { code: 4401, reason: 'expired' });
  assert.equal(ends.control('weft.expired')[0].reason, 'expired');
  assert.equal((await stays.ok('publish', { topic: 'a', event: event(1) })).ids.length, 1);
  await stays.take(1);
  assert.equal((await api.get('/healthz')).status, 200);
});

story('the limits of the API count messages too, and who does not stop is closed with 4429', async (w) => {
  const [node] = await w.cluster(1, { node: { set: { limits: { api_per_s: 1, api_burst: 10 } } } });
  const ws = await w.ws(node);
  for (let n = 0; n < 30; n++) ws.send({ op: 'ping', request: `${n}` });
  await ws.until(() => ws.all.length >= 30, { what: 'the answers' });
  const limited = ws.control('weft.error');
  assert.ok(limited.length >= 15, `${limited.length}`);
  assert.ok(limited.every((m) => m.code === 'limited' && m.retry_ms > 0), JSON.stringify(limited[0]));
  assert.ok(ws.all.some((m) => m.type === 'weft.pong'));
  const timer = setInterval(() => ws.ended || ws.send({ op: 'ping' }), 5);
  try {
    assert.equal((await ws.ending()).code, 4429);
  } finally {
    clearInterval(timer);
  }
});

story('a token that comes by another way while a message waits for its admission', async (w) => {
  const issuer = new Issuer(w.folder);
  const [node] = await w.cluster(1, { node: { set: { auth: { anonymous: 'subscribe', jwks: issuer.file }, limits: { api_per_s: 1, api_burst: 1000, lease_percent: 1 } } } });
  const ws = await w.ws(node);
  const { stream } = await ws.subscribe('t');
  const api = w.client(node);
  process.kill(w.store.pid, 'SIGSTOP');
  w.atEnd(() => process.kill(w.store.pid, 'SIGCONT'));
  const before = await node.metric('weft_ws_messages_total');
  for (let i = 0; i < 200; i++) ws.send({ op: 'ping' });
  await node.metricReaches('weft_ws_messages_total', (n) => n - before > ws.control('weft.pong').length);
  const token = issuer.token({ sub: 'anna', subscribe: ['t'] });
  const answer = await api.send('POST', `/api/streams/${stream}/token`, { headers: bearer(token) });
  assert.equal(answer.status, 200, answer.text);
  process.kill(w.store.pid, 'SIGCONT');
  await ws.until(() => ws.control('weft.pong').length === 200, { what: 'all answers' });
  await ws.waitControl('weft.renewed');
});
