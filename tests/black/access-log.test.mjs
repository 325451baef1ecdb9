// The access log. One JSON line for each request, two for a stream, whole and from a thread of its own: no secret is in
// them, a reader that stands still costs lines and never a request, and a file that was moved away is opened anew.
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { existsSync, openSync, closeSync, readFileSync, renameSync, constants } from 'node:fs';
import path from 'node:path';
import { story } from './lib/story.mjs';
import { event, RawHttp } from './lib/http.mjs';
import { bin } from './lib/node.mjs';
import { Issuer } from './lib/token.mjs';
import { run } from './lib/process.mjs';
import { until } from './lib/wait.mjs';

function linesOf(file) {
  return readFileSync(file, 'utf8').split('\n').slice(0, -1).map((line) => JSON.parse(line));
}

// The lines of these requests, when all of them are there.
function logged(file, where, n = 1) {
  return until(() => {
    const lines = linesOf(file).filter(where);
    return lines.length >= n ? lines : null;
  }, { what: `${n} lines of the access log` });
}

async function logging(w, set = {}, options = {}) {
  await w.redis();
  const file = path.join(w.folder, 'access.log');
  const node = await w.node({ set: { access_log: { path: file }, ...set }, ...options });
  return { node, file };
}

story('a request has a line, with what is known of it', async (w) => {
  const { node, file } = await logging(w, { limits: { api_proxies: 1 } });
  const api = w.client(node);
  const traceparent = '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01';
  await api.published('t', event(1), { 'x-request-id': 'r1', traceparent, 'user-agent': 'test/1 "q"\t\u00e9', 'x-forwarded-for': '203.0.113.5, 192.0.2.7' });
  const [line] = await logged(file, (l) => l.request_id === 'r1');
  assert.match(line.time, /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/);
  assert.match(line.peer, /^127\.0\.0\.1:\d+$/);
  assert.ok(line.duration_ms >= 0 && line.duration_ms < 600_000);
  assert.ok(line.bytes > 10);
  for (const key of ['time', 'peer', 'duration_ms', 'bytes', 'user_agent']) delete line[key];
  assert.deepEqual(line, {
    event: 'request', node: 'a', request_id: 'r1', traceparent, client: '192.0.2.7', method: 'POST', path: '/api/topics/t/events',
    protocol: 'HTTP/1.1', status: 201,
  });

  // Ids that the node made are in the log as in the answers; failures are there like all others.
  const answers = [await api.get('/nothing'), await api.send('DELETE', '/healthz'), await api.get('/api/topics?x=%'), await api.publish('t', '{')];
  for (const answer of answers) {
    const [found] = await logged(file, (l) => l.request_id === answer.headers['x-request-id']);
    assert.equal(found.status, answer.status);
    assert.equal(found.bytes, Buffer.byteLength(answer.text));
  }
  const raw = new RawHttp(node.port);
  await raw.write('POST /x HTTP/1.0\r\nX-Request-Id: fallback\r\nExpect: rain\r\nContent-Length: 0\r\n\r\n');
  await raw.rest();
  const [fallback] = await logged(file, (l) => l.request_id === 'fallback');
  assert.deepEqual([fallback.status, fallback.protocol], [417, 'HTTP/1.0']);
  assert.ok((await node.metric('weft_access_log_lines_total')) >= 6);
});

story('a stream has a line at its beginning and one at its end, which says why', async (w) => {
  const { node, file } = await logging(w, { http: { write_stall_ms: 700 }, slow: { policies: 'c=close' }, drain: { period_ms: 300 } });
  const api = w.client(node);
  const follow = (id, query = 'topic=t') => w.follow(node, query, { headers: { 'X-Request-Id': id, 'User-Agent': 'stream/1' } });
  const left = await follow('left');
  const stalled = await follow('stalled');
  await follow('drained');
  const [begin] = await logged(file, (l) => l.request_id === 'left');
  assert.deepEqual([begin.event, begin.stream, begin.status, begin.query, begin.user_agent], ['stream.begin', 'sse', 200, 'topic=t', 'stream/1']);
  await api.published('t', [event(1), event(2)]);
  await left.take(2);
  left.cut();
  const [, end] = await logged(file, (l) => l.request_id === 'left', 2);
  assert.deepEqual([end.event, end.stream, end.events, end.reason, end.path], ['stream.end', 'sse', 2, 'client', '/api/events']);
  assert.ok(end.bytes > 200 && end.duration_ms >= 0);

  stalled.pause();
  for (let n = 0; n < 80; n++) await api.published('t', { type: 'big', payload: { text: 'x'.repeat(100_000) } });
  const ended = await logged(file, (l) => l.request_id === 'stalled' && l.event === 'stream.end');
  assert.equal(ended[0].reason, 'stalled');
  await node.stop();
  const [drained] = linesOf(file).filter((l) => l.request_id === 'drained' && l.event === 'stream.end');
  assert.equal(drained.reason, 'draining');
});

story('a WebSocket has the same two lines', async (w) => {
  const { node, file } = await logging(w);
  const ws = await w.ws(node, { headers: { 'X-Request-Id': 'ws' } });
  assert.equal(ws.head.headers['x-request-id'], 'ws');
  ws.close();
  const [begin, end] = await logged(file, (l) => l.request_id === 'ws', 2);
  assert.deepEqual([begin.event, begin.stream, begin.status, begin.path], ['stream.begin', 'websocket', 101, '/ws']);
  assert.deepEqual([end.event, end.stream, end.events], ['stream.end', 'websocket', 0]);
});

story('so has a WebSocket', async (w) => {
  const { node, file } = await logging(w, { http: { write_stall_ms: 700 } });
  const api = w.client(node);
  const open = (id) => w.ws(node, { headers: { 'X-Request-Id': id } });
  const end = async (id) => (await logged(file, (l) => l.request_id === id && l.event === 'stream.end'))[0];
  const closes = await open('closes');
  await closes.subscribe('t');
  await api.published('t', [event(1), event(2)]);
  await closes.take(2);
  closes.close(1000, 'enough');
  const closed = await end('closes');
  assert.deepEqual([closed.stream, closed.events, closed.reason, closed.path], ['websocket', 2, 'client', '/ws']);
  (await open('cut')).cut();
  assert.equal((await end('cut')).reason, 'client');
  const stalls = await open('stalls');
  await stalls.subscribe('t');
  stalls.pause();
  for (let n = 0; n < 80; n++) await api.published('t', { type: 'big', payload: { text: 'x'.repeat(100_000) } });
  assert.equal((await end('stalls')).reason, 'stalled');
});

story('no secret is written down, wherever it was', async (w) => {
  const issuer = new Issuer(w.folder);
  const { node, file } = await logging(w, { auth: { anonymous: 'all', jwks: issuer.file, cookie: 'weft' } });
  const secret = 'eyJhbGciOiJIUzI1NiJ9.c2VjcmV0.tHiSiStHeSeCrEt';
  const api = w.client(node);
  const raw = new RawHttp(node.port);
  const paths = [
    `/api/events?topic=t&access_token=${secret}`, `/api/events?token=${secret}&topic=t`, `/api/events?topic=t&${secret}`, `/api/events?${secret}=1&topic=t`,
    `/api/events?topic=t&%74oken=${secret}`, `/api/events?topic=t&TOKEN=${secret}`, `/?${secret}`, `/api/nothing?a=${secret}`, `/api/events?topic=t;token=${secret}`.replace(';', '%26'),
  ];
  for (const target of paths.slice(0, -1)) await api.get(target, { accept: 'application/json', authorization: `Bearer ${secret}`, cookie: `weft=${secret}; x=${secret}`, 'proxy-authorization': secret, referer: `http://x/?t=${secret}`, 'x-request-id': 'a' });
  // One that is good, wherever it may be.
  const token = issuer.token({ sub: 'alice "a"', subscribe: ['*'] });
  for (const [query, headers] of [[`topic=t&access_token=${token}`, {}], [`topic=t&token=${token}`, {}], ['topic=t', { Cookie: `x=1; weft=${token}` }], ['topic=t', { Authorization: `Bearer ${token}` }]]) {
    await w.follow(node, query, { headers: { ...headers, 'X-Request-Id': 'b' } }).then((s) => s.cut());
  }
  await raw.write(`GET /healthz HTTP/1.1\r\nHost: x\r\nX-Request-Id: ${secret} x\r\ntraceparent: ${secret}\r\nX-Forwarded-For: ${secret}\r\n\r\n`);
  await raw.response();
  raw.destroy();
  await logged(file, (l) => l.request_id === 'a', paths.length - 1);
  const streams = await logged(file, (l) => l.request_id === 'b', 8);
  assert.deepEqual([...new Set(streams.map((l) => l.subject))], ['alice "a"']);
  await node.stop();
  const text = readFileSync(file, 'utf8');
  assert.ok(!text.includes(secret) && !text.includes('tHiSiStHeSeCrEt'), text.split('\n').find((l) => l.includes('tHiSiStHeSeCrEt')));
  for (const part of token.split('.')) assert.ok(!text.includes(part), part);
  assert.ok(!node.program.output().includes('tHiSiStHeSeCrEt') && !node.program.output().includes(token.split('.')[2]), 'nor in the log');
  assert.match(text, /"query":"topic=t&access_token=\*\*\*"/);
});

story('what clients send cannot break a line, nor make it long', async (w) => {
  const { node, file } = await logging(w, { http: { max_head_bytes: 65536, max_url_bytes: 32768 } });
  const raw = new RawHttp(node.port);
  const nasty = ['"}\\n{"event":"forged"}', '\\u0000', 'é\u00ff'.repeat(200), '\t'.repeat(3000), '"'.repeat(5000), '\\'.repeat(5000), '\x80\xff'.repeat(2000)];
  for (const [i, value] of nasty.entries()) {
    await raw.write(Buffer.from(`GET /${value.replace(/[\s\x00-\x20]/g, '"').slice(0, 8000)}?topic=${value.replace(/[\s\x00-\x20]/g, '"').slice(0, 8000)} HTTP/1.1\r\nHost: x\r\nX-Request-Id: n${i}\r\nUser-Agent: ${value}\r\n\r\n`, 'latin1'));
    await raw.response();
  }
  raw.destroy();
  await logged(file, (l) => /^n\d+$/.test(l.request_id), nasty.length);
  await node.stop();
  for (const line of readFileSync(file, 'utf8').split('\n')) assert.ok(Buffer.byteLength(line) < 4096, `${line.length}`);
  assert.deepEqual([...new Set(linesOf(file).map((l) => l.event))], ['request']);
});

story('a reader that stands still costs lines, and no request', async (w) => {
  await w.redis();
  const fifo = path.join(w.folder, 'fifo');
  execFileSync('mkfifo', [fifo]);
  // Open, and never read: the pipe takes 64 KiB.
  const fd = openSync(fifo, constants.O_RDONLY | constants.O_NONBLOCK);
  w.atEnd(() => closeSync(fd));
  const node = await w.node({ set: { access_log: { path: fifo, queue: 100 } } });
  const api = w.client(node);
  // Some that the pipe takes; one that is longer than what is left of it would be counted by nobody.
  for (let i = 0; i < 60; i++) assert.equal((await api.get('/healthz')).status, 200);
  await node.metricReaches('weft_access_log_lines_total', (lines) => lines > 50);
  let n = 0;
  while ((await node.metric('weft_access_log_dropped_total')) === 0) {
    assert.ok(n < 20_000, 'nothing was dropped');
    const answers = await Promise.all(Array.from({ length: 64 }, () => api.get('/healthz', { 'user-agent': 'x'.repeat(250) })));
    for (const answer of answers) assert.equal(answer.status, 200);
    n += 64;
  }
  await api.published('t', event(1));
  const metrics = await node.metrics();
  assert.ok(metrics.weft_access_log_lines_total > 50);
  const { code } = await node.stop();
  assert.equal(code, 0, 'it ends although nobody reads');
});

story('a file that was moved away is opened anew on SIGHUP', async (w) => {
  const { node, file } = await logging(w);
  const api = w.client(node);
  await api.get('/healthz', { 'x-request-id': 'before' });
  await logged(file, (l) => l.request_id === 'before');
  renameSync(file, `${file}.1`);
  node.program.signal('SIGHUP');
  await node.logged('access_log.reopened');
  await api.get('/healthz', { 'x-request-id': 'after' });
  await until(() => existsSync(file), { what: 'the new file' });
  await logged(file, (l) => l.request_id === 'after');
  assert.ok(!linesOf(`${file}.1`).some((l) => l.request_id === 'after'));
});

story('standard output, and a path that cannot be', async (w) => {
  await w.redis();
  const node = await w.node({ set: { access_log: { path: '-' } } });
  await w.client(node).get('/healthz', { 'x-request-id': 'out' });
  const line = await node.program.line((text) => (text.includes('"request_id":"out"') ? JSON.parse(text) : null));
  assert.equal(line.status, 200);
  const { code, stderr } = await run(bin('weftd'), ['--listen', '127.0.0.1:0', '--redis', w.store.url, '--set', 'access_log.path=/nowhere/at/all', '--set', 'auth.anonymous=all']);
  assert.equal(code, 1);
  assert.match(stderr, /access_log\.path: cannot open \/nowhere\/at\/all/);
});

story('a request whose client leaves has its line', async (w) => {
  const { node, file } = await logging(w);
  const raw = new RawHttp(node.port);
  await raw.write('GET /api/events?topic=t&since=-1s HTTP/1.1\r\nHost: x\r\nAccept: application/json\r\nX-Request-Id: gone\r\n\r\n');
  await node.metricReaches('weft_subscribers', 1);
  raw.destroy();
  const [line] = await logged(file, (l) => l.request_id === 'gone');
  assert.deepEqual([line.event, line.method, line.query], ['request', 'GET', 'topic=t&since=-1s']);
});

story('what comes behind a request while its answer is not taken does not get into its line', async (w) => {
  const { node, file } = await logging(w);
  const api = w.client(node);
  for (let n = 0; n < 80; n++) await api.published('big', { type: 'big', payload: { text: 'x'.repeat(100_000) } });
  for (const protocol of ['1.1', '1.0']) {
    const raw = new RawHttp(node.port);
    raw.socket.once('data', () => raw.socket.pause());
    await raw.write(`GET /api/topics/big/events?limit=1000 HTTP/${protocol}\r\nHost: x\r\nConnection: keep-alive\r\nX-Request-Id: first-${protocol}\r\nUser-Agent: reads/late\r\n\r\n`);
    // The answer is on its way, and does not fit into the socket.
    await until(() => raw.input.length > 0, { what: 'the answer to begin' });
    await raw.write(`GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\nX-Request-Id: behind-${protocol}\r\nX-Pad: ${'p'.repeat(12_000)}\r\n\r\n`);
    // What others send meanwhile takes the place of what was let go of.
    for (let n = 0; n < 20; n++) await api.get('/healthz', { authorization: `Bearer ${'another-ones-token-'.repeat(10)}` });
    raw.socket.resume();
    await raw.rest();
    const [line] = await logged(file, (l) => l.request_id === `first-${protocol}`);
    assert.deepEqual([line.method, line.path, line.query, line.user_agent, line.status], ['GET', '/api/topics/big/events', 'limit=1000', 'reads/late', 200]);
    assert.ok(line.bytes > 8_000_000, `${line.bytes}`);
    await logged(file, (l) => l.request_id === `behind-${protocol}`);
  }
  assert.ok(!readFileSync(file, 'utf8').includes('another-ones-token'));
});

story('the name of a stream is not written whole: who has it may change the stream', async (w) => {
  const { node, file } = await logging(w);
  const api = w.client(node);
  const stream = await w.follow(node, 'topic=t');
  const { stream: name } = (await stream.waitControl('weft.open')).data;
  assert.equal((await api.send('POST', `/api/streams/${name}/topics`, { body: '{"add":["u"]}', headers: { 'x-request-id': 'changes' } })).status, 200);
  assert.equal((await api.get(`/api/streams/${name}?x=1`, { 'x-request-id': 'looks' })).status, 400);
  const [changes] = await logged(file, (l) => l.request_id === 'changes');
  const [looks] = await logged(file, (l) => l.request_id === 'looks');
  assert.equal(changes.path, `/api/streams/${name.slice(0, -16)}***/topics`);
  assert.equal(looks.path, `/api/streams/${name.slice(0, -16)}***`);
});
