// Who is let in. Every answer has an id and the headers that keep browsers tame; pages of other origins may do what the
// configuration says and no more; heads, URLs, connections of an address and the rate of accepting have limits, each
// refusal is told and counted, and whoever is within the limits does not notice.
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import net from 'node:net';
import path from 'node:path';
import tls from 'node:tls';
import { Certificates } from './lib/certificates.mjs';
import { story } from './lib/story.mjs';
import { event, parseHead, RawHttp } from './lib/http.mjs';
import { Issuer } from './lib/token.mjs';
import { until, deadline } from './lib/wait.mjs';

const APP = 'https://app.example.org';
const EVIL = 'https://evil.example.org';
const GET = (path, extra = '') => `GET ${path} HTTP/1.1\r\nHost: x\r\n${extra}\r\n`;

// An answer to these bytes, as it came.
async function ask(node, bytes, options = {}) {
  const raw = new RawHttp(node.port, options);
  try {
    await raw.write(bytes);
    return await raw.response();
  } finally {
    raw.destroy();
  }
}

// A connection from another loopback address, told open or refused by its first answer.
function connectFrom(node, localAddress, bytes = GET('/healthz')) {
  return new Promise((resolve, reject) => {
    const socket = net.connect({ port: node.port, host: '127.0.0.1', localAddress });
    let text = '';
    socket.on('connect', () => socket.write(bytes));
    socket.on('error', () => {});
    socket.on('close', () => (text === '' ? reject(new Error('closed without an answer')) : undefined));
    socket.on('data', (data) => {
      text += data.toString('latin1');
      const end = text.indexOf('\r\n\r\n');
      if (end >= 0) resolve({ socket, text, ...parseHead(text.slice(0, end)) });
    });
  });
}

function refusedOf(metrics, reason) {
  return metrics[`weft_requests_refused_total{reason="${reason}"}`];
}

story('every answer has an id: the client\'s if it is one, else a new one', async (w) => {
  const [node] = await w.cluster();
  const api = w.client(node);
  for (const [method, path, status, options] of [
    ['GET', '/healthz', 200], ['GET', '/', 200], ['GET', '/metrics', 200], ['GET', '/nothing', 404], ['GET', '/api/nothing', 404],
    ['DELETE', '/healthz', 405], ['OPTIONS', '/api/topics', 204], ['GET', '/api/topics?x=%', 400], ['GET', '/api/topics', 200],
    ['POST', '/api/topics/t/events', 201, { headers: { 'content-type': 'application/json' }, body: JSON.stringify(event(1)) }],
    ['GET', '/api/events?topic=t&since=earliest', 200, { headers: { accept: 'application/json' } }],
  ]) {
    const own = await api.send(method, path, { ...options, headers: { ...options?.headers, 'x-request-id': 'aZ09._-1' } });
    assert.equal(own.status, status, path);
    assert.equal(own.headers['x-request-id'], 'aZ09._-1', path);
    const made = await api.send(method, path, options);
    assert.match(String(made.headers['x-request-id']), /^[0-9a-f]{32}$/, path);
  }
  const long = await ask(node, 'POST /api/topics/t/events HTTP/1.1\r\nHost: x\r\nX-Request-Id: l1\r\nContent-Length: 1100000\r\n\r\n');
  assert.equal(long.status, 413);
  assert.equal(long.headers['x-request-id'], 'l1');
  const expect = await ask(node, 'POST /api/topics/t/events HTTP/1.1\r\nHost: x\r\nX-Request-Id: e1\r\nExpect: rain\r\nContent-Length: 2\r\n\r\n{}');
  assert.equal(expect.status, 417);
  assert.equal(expect.headers['x-request-id'], 'e1');
  const hostless = await ask(node, 'GET /healthz HTTP/1.1\r\nX-Request-Id: h1\r\n\r\n');
  assert.equal(hostless.status, 400);
  assert.equal(hostless.headers['x-request-id'], 'h1');

  const stream = await w.follow(node, 'topic=t', { headers: { 'X-Request-Id': 's1' } });
  assert.equal(stream.head.headers['x-request-id'], 's1');

  const seen = new Set();
  for (const id of ['', 'a b', 'a'.repeat(65), 'ä', '"', 'a/b', '<script>', 'a;b']) {
    const answer = await ask(node, `GET /healthz HTTP/1.1\r\nHost: x\r\nX-Request-Id: ${id}\r\n\r\n`);
    assert.match(answer.headers['x-request-id'], /^[0-9a-f]{32}$/, `for ${id}`);
    seen.add(answer.headers['x-request-id']);
  }
  const longest = await ask(node, GET('/healthz', `X-Request-Id: ${'a'.repeat(64)}\r\n`));
  assert.equal(longest.headers['x-request-id'], 'a'.repeat(64));

  // On one connection each request has its own.
  const raw = new RawHttp(node.port);
  await raw.write(GET('/healthz', 'X-Request-Id: one\r\n') + GET('/healthz') + GET('/healthz', 'X-Request-Id: three\r\n') + GET('/healthz'));
  const ids = [];
  for (let i = 0; i < 4; i++) ids.push((await raw.response()).headers['x-request-id']);
  assert.deepEqual([ids[0], ids[2]], ['one', 'three']);
  seen.add(ids[1]).add(ids[3]);
  assert.equal(seen.size, 10, 'no id twice');
  raw.destroy();
});

story('the headers that keep browsers tame are on every answer, once', async (w) => {
  const [node] = await w.cluster();
  for (const bytes of [
    GET('/healthz'), GET('/'), GET('/app.js'), GET('/nothing'), GET('/api/topics'), GET('/api/topics?x=%'), GET('/metrics'),
    'POST /x HTTP/1.1\r\nHost: x\r\nExpect: rain\r\nContent-Length: 0\r\n\r\n', 'OPTIONS /api/topics HTTP/1.1\r\nHost: x\r\n\r\n',
    GET('/api/events?topic=t', 'Accept: text/event-stream\r\n'),
  ]) {
    const raw = new RawHttp(node.port);
    await raw.write(bytes);
    const text = await until(() => raw.input.includes('\r\n\r\n') && raw.input.toString('latin1'), { what: 'a head' });
    raw.destroy();
    const head = text.slice(0, text.indexOf('\r\n\r\n'));
    const { headers } = parseHead(head);
    assert.equal(headers['x-content-type-options'], 'nosniff', bytes);
    assert.equal(headers['referrer-policy'], 'no-referrer', bytes);
    assert.equal(headers['cross-origin-resource-policy'], 'same-origin', bytes);
    assert.equal(headers['strict-transport-security'], undefined, bytes);
    assert.equal(headers.vary, undefined, bytes);
    const names = head.split('\r\n').slice(1).map((line) => line.slice(0, line.indexOf(':')).toLowerCase());
    assert.equal(new Set(names).size, names.length, `a header twice: ${names}`);
  }
  const page = await w.client(node).get('/');
  assert.equal(page.headers['x-frame-options'], 'deny');
  assert.match(page.headers['content-security-policy'], /frame-ancestors 'none'/);

  const tls = await w.node({ set: { http: { hsts_s: 86400 } } });
  assert.equal((await w.client(tls).get('/healthz')).headers['strict-transport-security'], 'max-age=86400');
});

story('CORS: named origins with cookies, `*` without them, all others not at all', async (w) => {
  await w.redis();
  const preflight = (origin, method = 'POST') => ['OPTIONS', '/api/topics/t/events', { headers: { origin, 'access-control-request-method': method, 'access-control-request-headers': 'content-type' } }];
  for (const [origins, origin, allowed, credentials] of [
    [APP, APP, APP, true],
    [APP, EVIL, undefined, false],
    [APP, 'https://app.example.org.evil', undefined, false],
    [APP, 'http://app.example.org', undefined, false],
    [APP, 'https://app.example.org:8443', undefined, false],
    [APP, 'null', undefined, false],
    ['*', EVIL, '*', false],
    ['*', 'null', '*', false],
    [`*,${APP}`, APP, APP, true],
    [`*,${APP}`, EVIL, '*', false],
    ['', APP, undefined, false],
  ]) {
    const node = w.nodes.find((n) => n.origins === origins) ?? await w.node({ set: { http: { cors_origins: origins } } });
    node.origins = origins;
    const api = w.client(node);
    const what = `${origin} where ${origins} may`;
    const simple = await api.get('/api/topics', { origin });
    const asked = await api.send(...preflight(origin));
    const failed = await api.get('/api/nothing', { origin });
    const stream = await w.follow(node, 'topic=t', { headers: { Origin: origin } });
    assert.equal(asked.status, 204, what);
    for (const { headers } of [simple, asked, failed, stream.head]) {
      assert.equal(headers['access-control-allow-origin'], allowed, what);
      assert.equal(headers['access-control-allow-credentials'], credentials ? 'true' : undefined, what);
      assert.equal(headers.vary, origins === '' ? undefined : 'origin', what);
      assert.equal(/x-request-id.*retry-after.*ratelimit/.test(String(headers['access-control-expose-headers'])), allowed !== undefined, what);
    }
    assert.equal(asked.headers['access-control-max-age'], allowed && '600', what);
    assert.equal(/POST/.test(String(asked.headers['access-control-allow-methods'])), allowed !== undefined, what);
    assert.equal(/authorization/.test(String(asked.headers['access-control-allow-headers'])), allowed !== undefined, what);
    stream.cut();
  }
  // Without a request's Origin the answer still says that it depends on it.
  assert.equal((await w.client(w.nodes[0]).get('/api/topics')).headers.vary, 'origin');
}, { timeout: 120_000 });

story('a preflight needs no right, and no token of a bucket', async (w) => {
  const [node] = await w.cluster(1, { node: { set: { auth: { anonymous: 'subscribe' }, http: { cors_origins: APP }, limits: { api_per_s: 1, api_burst: 1 } } } });
  const api = w.client(node);
  for (let i = 0; i < 10; i++) {
    const answer = await api.send('OPTIONS', '/api/topics/t/events', { headers: { origin: APP, 'access-control-request-method': 'POST' } });
    assert.equal(answer.status, 204);
    assert.equal(answer.headers['access-control-allow-origin'], APP);
  }
});

story('a page of a foreign origin changes nothing: 403, unless it was allowed to', async (w) => {
  const [node, open, named] = [
    await w.cluster().then(([n]) => n),
    await w.node({ set: { http: { cors_origins: '*' } } }),
    await w.node({ set: { http: { cors_origins: APP } } }),
  ];
  const before = await w.store.fingerprint();
  const post = (to, headers) => w.client(to).publish('t', event(1), headers);
  const host = `127.0.0.1:${node.port}`;
  for (const origin of [EVIL, 'null', `http://127.0.0.1:${node.port + 1}`, `https://${host}.evil`, `ftp://${host}`]) {
    const answer = await post(node, { origin });
    assert.equal(answer.status, 403, origin);
    assert.equal(answer.json.error.code, 'forbidden');
    assert.equal(answer.json.error.field, 'Origin');
  }
  for (const [method, path] of [['PUT', '/api/limits/b'], ['DELETE', '/api/limits/b'], ['PATCH', '/api/x'], ['POST', '/api/services/s/start'], ['POST', '/api/breakers/b/force']]) {
    assert.equal((await w.client(node).send(method, path, { headers: { origin: EVIL, cookie: 'weft=x' } })).status, 403, `${method} ${path}`);
  }
  assert.equal((await post(named, { origin: EVIL })).status, 403);
  // A browser adds passwords that it knows by itself.
  assert.equal((await post(node, { origin: EVIL, authorization: 'Basic eDp5' })).status, 403);
  assert.equal(await w.store.fingerprint(), before, 'nothing was written');
  assert.equal(refusedOf(await node.metrics(), 'origin'), 11);

  for (const [to, headers] of [
    [node, {}], [node, { origin: `http://${host}` }], [node, { origin: EVIL, authorization: 'Bearer x' }], [open, { origin: EVIL }], [named, { origin: APP }],
  ]) {
    assert.notEqual((await post(to, headers)).status, 403, JSON.stringify(headers));
  }
  assert.equal((await w.client(node).get('/api/topics', { origin: EVIL })).status, 200, 'reading is the browser\'s to withhold');
});

story('heads and URLs have limits: 431, 414, and the connection is closed', async (w) => {
  const [node] = await w.cluster(1, { node: { set: { http: { max_head_bytes: 2048, max_url_bytes: 512 } } } });
  const url = (n) => `/healthz?${'a'.repeat(n - '/healthz?'.length)}`;
  const headed = (n) => {
    const rest = 'GET /healthz HTTP/1.1\r\nHost: x\r\nX: \r\n\r\n'.length;
    return `GET /healthz HTTP/1.1\r\nHost: x\r\nX: ${'a'.repeat(n - rest)}\r\n\r\n`;
  };
  for (const [bytes, status, field] of [
    [GET(url(512)), 200], [GET(url(513)), 414, 'path'], [GET(url(1500)), 414, 'path'],
    [headed(2048), 200], [headed(2049), 431, 'head'], [headed(100_000), 431, 'head'], [GET(`/${'a'.repeat(600)}`, `X: ${'a'.repeat(3000)}\r\n`), 414, 'path'],
    [`POST /api/topics/t/events HTTP/1.1\r\nHost: x\r\nX: ${'a'.repeat(3000)}\r\nContent-Type: application/json\r\nContent-Length: 12\r\n\r\n{"type":"a"}`, 431, 'head'],
  ]) {
    const raw = new RawHttp(node.port);
    await raw.write(bytes);
    const answer = await raw.response();
    assert.equal(answer.status, status, bytes.slice(0, 60));
    if (field) {
      const problem = JSON.parse(answer.body);
      assert.equal(answer.headers['content-type'], 'application/problem+json');
      assert.equal(problem.error.field, field);
      assert.notEqual(problem.title, 'Error');
      assert.match(answer.headers['x-request-id'], /^[0-9a-f]{32}$/);
      assert.equal(await raw.rest(), '', 'closed');
    }
    raw.destroy();
  }
  assert.equal(await w.store.cmd('EXISTS', 'weft:{0}:topics'), 0);
  const metrics = await node.metrics();
  assert.equal(refusedOf(metrics, 'url'), 3);
  assert.equal(refusedOf(metrics, 'head'), 3);
});

story('what leads nowhere below /api/ costs a token; outside of it nothing does', async (w) => {
  const [node] = await w.cluster(1, { node: { set: { limits: { api_per_s: 1, api_burst: 5 } } } });
  const api = w.client(node);
  const seen = {};
  for (let i = 0; i < 20; i++) {
    for (const [method, path] of [['GET', '/api/nothing'], ['PATCH', '/api/topics']]) {
      const { status, headers } = await api.send(method, path);
      seen[status] = (seen[status] ?? 0) + 1;
      if (status === 405) assert.match(headers.allow, /GET/);
      if (status === 429) assert.match(String(headers['retry-after']), /^\d+$/);
    }
  }
  assert.ok(seen[404] >= 1 && seen[405] >= 1 && seen[429] >= 20, JSON.stringify(seen));
  assert.equal((seen[404] ?? 0) + seen[405] + seen[429], 40);
  assert.ok(refusedOf(await node.metrics(), 'rate') >= seen[429]);
  for (let i = 0; i < 20; i++) assert.equal((await api.get('/nothing')).status, 404);
});

story('connections of an address are counted over all workers: 429, and others come in', async (w) => {
  const [node] = await w.cluster(1, { node: { set: { limits: { connections_per_address: 6 } }, env: { WEFT_WORKERS: '3' } } });
  const held = [];
  for (let i = 0; i < 4; i++) held.push(await connectFrom(node, '127.0.0.2'));
  // Streams leave the library that holds the other connections, and count on.
  for (let i = 0; i < 2; i++) held.push(await connectFrom(node, '127.0.0.2', GET('/api/events?topic=t', 'Accept: text/event-stream\r\n')));
  assert.deepEqual(held.map((c) => c.status), Array(6).fill(200));
  for (let i = 0; i < 20; i++) {
    const refused = await connectFrom(node, '127.0.0.2');
    assert.equal(refused.status, 429);
    assert.equal(refused.headers['retry-after'], '5');
    assert.equal(refused.headers.connection, 'close');
    refused.socket.destroy();
  }
  const others = [];
  for (let i = 0; i < 6; i++) others.push(await connectFrom(node, '127.0.0.3'));
  assert.deepEqual(others.map((c) => c.status), Array(6).fill(200));
  assert.equal(refusedOf(await node.metrics(), 'address'), 20);

  // A place that is given back is there again, whether a connection or a stream had it; and no more than one.
  for (const i of [5, 0]) {
    held[i].socket.destroy();
    held[i] = await until(async () => {
      const next = await connectFrom(node, '127.0.0.2');
      return next.status === 200 ? next : next.socket.destroy() && null;
    }, { what: 'a place' });
    const more = await connectFrom(node, '127.0.0.2');
    assert.equal(more.status, 429);
    more.socket.destroy();
  }
  for (const { socket } of [...held, ...others]) socket.destroy();
});

story('of a storm from one address as many come in as may', async (w) => {
  const [node] = await w.cluster(1, { node: { set: { limits: { connections_per_address: 25 } }, env: { WEFT_WORKERS: '3' } } });
  for (let round = 0; round < 3; round++) {
    const all = await deadline(Promise.all(Array.from({ length: 120 }, () => connectFrom(node, '127.0.0.9'))), { what: 'the answers' });
    assert.equal(all.filter((c) => c.status === 200).length, 25);
    assert.equal(all.filter((c) => c.status === 429).length, 95);
    for (const { socket } of all) socket.destroy();
    await node.metricReaches('weft_connections', (n) => n <= 2);
  }
});

story('over TLS it is the same, but that a refused connection is closed without a word', async (w) => {
  const made = new Certificates(w.folder);
  const ca = readFileSync(await made.authority('ca'), 'utf8');
  const file = path.join(w.folder, 'access.log');
  const [node] = await w.cluster(1, { node: { ca, set: {
    tls: await made.sign('ca', 'node', 'DNS:localhost,IP:127.0.0.1'), limits: { connections_per_address: 3 }, access_log: { path: file },
  } } });
  const connect = (bytes) => new Promise((resolve) => {
    const socket = tls.connect({ port: node.port, host: '127.0.0.1', localAddress: '127.0.0.2', ca });
    let text = '';
    socket.on('secureConnect', () => socket.write(bytes));
    socket.on('error', () => {});
    socket.on('data', (data) => {
      text += data.toString('latin1');
      const end = text.indexOf('\r\n\r\n');
      if (end >= 0 && (!text.includes('event-stream') || text.includes('weft.open'))) resolve({ socket, ...parseHead(text.slice(0, end)) });
    });
    socket.on('close', () => resolve({ socket, status: null }));
  });
  const stream = GET('/api/events?topic=t', 'Accept: text/event-stream\r\nX-Request-Id: tls\r\n');
  const held = [await connect(stream), await connect(stream), await connect(GET('/healthz', 'X-Request-Id: tls\r\n'))];
  assert.deepEqual(held.map((c) => c.status), [200, 200, 200]);
  assert.deepEqual(held.map((c) => c.headers['x-request-id']), ['tls', 'tls', 'tls']);
  for (let i = 0; i < 5; i++) assert.equal((await connect(stream)).status, null);
  held[0].socket.destroy();
  held.push(await until(async () => {
    const next = await connect(stream);
    return next.status === 200 ? next : null;
  }, { what: 'a place' }));
  for (const { socket } of held) socket.destroy();
  const ends = await until(() => {
    const lines = readFileSync(file, 'utf8').split('\n').filter((line) => line.includes('"event":"stream.end"'));
    return lines.length === 3 ? lines.map((line) => JSON.parse(line)) : null;
  }, { what: 'the ends of three streams' });
  for (const end of ends) assert.ok(end.bytes > 50 && end.request_id === 'tls' && end.peer.startsWith('127.0.0.2:'), JSON.stringify(end));
});

story('more addresses than the table holds count as one', async (w) => {
  const [node] = await w.cluster(1, { node: { set: { limits: { connections_per_address: 2, addresses_max: 2 } } } });
  const held = [];
  for (const last of [2, 3, 4, 5]) held.push(await connectFrom(node, `127.0.0.${last}`));
  assert.deepEqual(held.map((c) => c.status), [200, 200, 200, 200]);
  const seventh = await connectFrom(node, '127.0.0.7');
  assert.equal(seventh.status, 429, 'with .4 and .5 there are two already');
  const second = await connectFrom(node, '127.0.0.2');
  assert.equal(second.status, 200, 'whoever is in the table has his own limit');
  for (const { socket } of [...held, seventh, second]) socket.destroy();
  const watcher = await until(async () => {
    const c = await connectFrom(node, '127.0.0.8', GET('/metrics', 'Connection: close\r\n'));
    return c.status === 200 ? c : null;
  }, { what: 'room' });
  await new Promise((resolve) => watcher.socket.on('close', resolve));
  assert.ok(Number(/^weft_addresses_full_total (\d+)$/m.exec(watcher.text)?.[1] ?? 3) >= 3);
});

story('behind a proxy streams are counted by the address that it forwards', async (w) => {
  const [node] = await w.cluster(1, { node: { set: { limits: { connections_per_address: 2, api_proxies: 1 } } } });
  const from = (address) => w.stream(node, 'topic=t', { headers: { 'X-Forwarded-For': `198.51.100.9, ${address}` } });
  const opened = async (address) => {
    const stream = from(address);
    await stream.answered();
    await stream.until(() => stream.control('weft.open')[0] ?? stream.control('weft.moved')[0], { what: 'its first word', mayEnd: true });
    return stream;
  };
  const held = [];
  for (const address of ['192.0.2.1', '192.0.2.1:1234', '2001:db8:0:1::1', '[2001:db8:0:1::2]:80', '192.0.2.2']) {
    const stream = await opened(address);
    assert.equal(stream.control('weft.open').length, 1, address);
    held.push(stream);
  }
  for (const address of ['192.0.2.1', '2001:db8:0:1:ffff::', '::ffff:192.0.2.1']) {
    const stream = await opened(address);
    assert.equal(stream.head.status, 200, 'an EventSource would give up on anything else');
    assert.equal(stream.control('weft.moved')[0].data.reason, 'limited', address);
    assert.ok(stream.retry >= 5000);
    await deadline(stream.closed, { what: 'the end of the stream' });
  }
  // Connections and polls of the proxy are not counted: they are many clients'.
  const api = w.client(node);
  for (let i = 0; i < 5; i++) assert.equal((await api.poll('topic=t&since=earliest&wait_ms=0', { 'x-forwarded-for': '192.0.2.1' })).status, 200);
  assert.equal(refusedOf(await node.metrics(), 'address'), 3);

  // A WebSocket is a stream like the others; its client is told by the status.
  const socket = w.websocket(node, { headers: { 'X-Forwarded-For': '192.0.2.1' } });
  await deadline(socket.closed, { what: 'the end of the connection' });
  assert.equal(socket.head.status, 429);
  assert.equal(socket.head.headers['retry-after'], '5');

  held[0].cut();
  await node.metricReaches('weft_subscribers', 4);
  assert.equal((await opened('192.0.2.1')).control('weft.open').length, 1);
});

story('behind two proxies the address is the one that the outer of them has added, in one header or in two', async (w) => {
  const [node] = await w.cluster(1, { node: { set: { limits: { connections_per_address: 1, api_proxies: 2 } } } });
  const opened = async (headers) => {
    const stream = w.stream(node, 'topic=t', { headers });
    await stream.answered();
    const word = await stream.until(() => stream.control('weft.open')[0] ?? stream.control('weft.moved')[0], { what: 'its first word', mayEnd: true });
    return word.data.reason ?? word.type;
  };
  const one = (...list) => ({ 'X-Forwarded-For': list.join(', ') });
  const two = (first, ...list) => ({ 'X-Forwarded-For': first, 'x-forwarded-for': list.join(', ') });
  // claimed by the client, added by the outer proxy, added by the inner one
  assert.equal(await opened(one('192.0.2.1', '198.51.100.1', '203.0.113.1')), 'weft.open');
  assert.equal(await opened(one('192.0.2.1', '198.51.100.2', '203.0.113.1')), 'weft.open', 'another client behind the same proxies');
  assert.equal(await opened(one('192.0.2.2', '198.51.100.1', '203.0.113.2')), 'limited', 'the same, whatever it claims');
  assert.equal(await opened(two('192.0.2.1, 198.51.100.3', '203.0.113.1')), 'weft.open');
  assert.equal(await opened(two('192.0.2.3, 198.51.100.3', '203.0.113.2')), 'limited');
  assert.equal(await opened(two('192.0.2.1', '198.51.100.3', '203.0.113.1')), 'limited');
});

story('streams of a subject are counted, wherever they come from', async (w) => {
  const issuer = new Issuer(w.folder);
  const [node] = await w.cluster(1, { node: { set: { auth: { anonymous: 'none', jwks: issuer.file }, limits: { connections_per_subject: 2 } } } });
  const opened = async (sub) => {
    const stream = w.stream(node, 'topic=t', { headers: { Authorization: `Bearer ${issuer.token({ sub, subscribe: ['*'] })}` } });
    await stream.answered();
    return stream.until(() => stream.control('weft.open')[0] ?? stream.control('weft.moved')[0], { what: 'its first word', mayEnd: true }).then((word) => ({ stream, word }));
  };
  const held = [];
  for (const sub of ['alice', 'alice', 'bob']) held.push(await opened(sub));
  assert.deepEqual(held.map(({ word }) => word.type), Array(3).fill('weft.open'));
  const third = await opened('alice');
  assert.deepEqual([third.word.type, third.word.data.reason], ['weft.moved', 'limited']);
  assert.equal(refusedOf(await node.metrics(), 'subject'), 1);
  held[0].stream.cut();
  await node.metricReaches('weft_subscribers', 2);
  assert.equal((await opened('alice')).word.type, 'weft.open');
});

story('a stream that gets its token later is counted for its subject as well', async (w) => {
  const issuer = new Issuer(w.folder);
  const [node] = await w.cluster(1, { node: { set: { auth: { anonymous: 'subscribe', jwks: issuer.file }, limits: { connections_per_subject: 2 } } } });
  const api = w.client(node);
  const token = issuer.token({ sub: 'alice', subscribe: ['*'] });
  const streams = [await w.follow(node, 'topic=t', { headers: { Authorization: `Bearer ${token}` } }), await w.follow(node, 'topic=t'), await w.follow(node, 'topic=t')];
  const give = async (stream) => {
    const name = (await stream.waitControl('weft.open')).data.stream;
    return (await api.send('POST', `/api/streams/${name}/token`, { headers: { 'content-type': 'application/json' }, body: JSON.stringify({ token }) })).status;
  };
  assert.deepEqual([await give(streams[1]), await give(streams[0]), await give(streams[2])], [200, 200, 429]);
  const ws = await w.ws(node);
  assert.equal((await ws.ask('auth', { token })).code, 'limited');
  assert.equal(refusedOf(await node.metrics(), 'subject'), 2);
  streams[1].cut();
  await node.metricReaches('weft_subscribers', 2);
  await ws.ok('auth', { token });
  await ws.ok('auth', { token });
  assert.equal(await give(streams[2]), 429);
});

story('a storm is accepted at the rate that is allowed; nobody is refused', async (w) => {
  const [node] = await w.cluster(1, { node: { set: { limits: { accepts_per_s: 40 } } } });
  const started = process.hrtime.bigint();
  const all = await deadline(Promise.all(Array.from({ length: 100 }, () => connectFrom(node, '127.0.0.1'))), { what: 'all to be served' });
  const ms = Number(process.hrtime.bigint() - started) / 1e6;
  assert.deepEqual(all.map((c) => c.status), Array(100).fill(200));
  w.note(`100 connections at 40/s: ${ms.toFixed(0)} ms`);
  // Not how long it takes on this machine: that the node held them back at all.
  assert.ok(ms > 1000, `${ms} ms: nothing held them back`);
  for (const { socket } of all) socket.destroy();
  assert.ok((await node.metric('weft_accept_slowed_total')) > 0);
});

story('descriptors: the cap follows the limit, and running out of them is got over', async (w) => {
  await w.redis();
  const node = await w.node({ wrap: ['sh', '-c', 'ulimit -n 300; exec "$@"', 'sh'] });
  const told = await node.logged('http.fewer_connections');
  assert.deepEqual([told.max_connections, told.instead, told.descriptors], [20000, 150, 300]);
  const held = await Promise.all(Array.from({ length: 149 }, () => connectFrom(node, '127.0.0.1')));
  const last = await Promise.all(Array.from({ length: 5 }, () => connectFrom(node, '127.0.0.1')));
  assert.deepEqual([...held, ...last].map((c) => c.status).sort(), [...Array(150).fill(200), ...Array(4).fill(503)]);
  for (const { socket } of [...held, ...last]) socket.destroy();
  await node.metricReaches('weft_connections', (n) => n <= 2);
  assert.equal(refusedOf(await node.metrics(), 'connections'), 4);

  // The limit is taken away beneath the node: nothing can be accepted for a while.
  const inside = new RawHttp(node.port);
  await inside.write(GET('/healthz'));
  assert.equal((await inside.response()).status, 200);
  const fds = (await node.metrics()).process_open_fds;
  execFileSync('prlimit', ['--pid', String(node.pid), `--nofile=${Math.max(8, fds - 2)}:300`]);
  const outside = connectFrom(node, '127.0.0.1');
  await until(async () => {
    await inside.write(GET('/metrics'));
    return Number(/^weft_accept_pauses_total (\d+)$/m.exec((await inside.response()).body)[1]) > 0;
  }, { what: 'accepting to pause' });
  execFileSync('prlimit', ['--pid', String(node.pid), '--nofile=300:300']);
  const served = await deadline(outside, { what: 'the connection that waited' });
  assert.equal(served.status, 200);
  served.socket.destroy();
  inside.destroy();
});

story('the trace of a request goes into events that have none', async (w) => {
  const [node] = await w.cluster();
  const api = w.client(node);
  const trace = '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01';
  const own = '00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00';
  const stream = await w.follow(node, 'topic=t');
  await api.published('t', [event(1), event(2, { traceparent: own })], { traceparent: trace, 'x-request-id': 'r1' });
  await api.published('t', event(3), { traceparent: '00-0-0-00' });
  await api.published('t', event(4));
  await api.published('t', event(5), { traceparent: `01${trace.slice(2)}-"},"x":"` });
  await api.published('t', { a: 1 }, { traceparent: trace, 'ce-specversion': '1.0', 'ce-id': '1', 'ce-source': 's', 'ce-type': 'c.e' });
  const got = await stream.take(6);
  assert.deepEqual(got.map((e) => e.traceparent), [trace, own, undefined, undefined, undefined, trace]);
  assert.deepEqual(got.map((e) => e.request_id), Array(6).fill(undefined));
});

story('an answer that its client does not read is dropped after http.write_stall_ms, with its connection', async (w) => {
  const [node] = await w.cluster(1, { node: { set: { http: { write_stall_ms: 500 } } } });
  const api = w.client(node);
  for (let n = 0; n < 80; n++) await api.published('t', { type: 'big', payload: { text: 'x'.repeat(200_000) } });
  const raw = new RawHttp(node.port);
  raw.socket.pause();
  await raw.write('GET /api/topics/t/events?limit=80 HTTP/1.1\r\nHost: x\r\n\r\n');
  await until(async () => (await node.metric('weft_connections_accepted_total')) >= 2, { what: 'it to be taken' });
  await until(async () => (await node.metric('weft_connections')) === 1, { what: 'it to be dropped' }); // the one that asks
  raw.destroy();
});
