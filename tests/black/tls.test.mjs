// The listener speaks TLS: what a client does in the clear it does over TLS 1.2 and 1.3, and what is weak or broken is refused.
// Certificates are renewed under living streams, sessions resume on another node, and who stalls is bounded and cut.
import assert from 'node:assert/strict';
import net from 'node:net';
import path from 'node:path';
import tls from 'node:tls';
import { randomBytes } from 'node:crypto';
import { copyFileSync, mkdirSync, readFileSync, renameSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { Certificates } from './lib/certificates.mjs';
import { story } from './lib/story.mjs';
import { deadline, until } from './lib/wait.mjs';
import { event, events, RawHttp } from './lib/http.mjs';
import { bin } from './lib/node.mjs';
import { preface } from './lib/http2.mjs';
import { run } from './lib/process.mjs';

const VERSIONS = ['TLSv1.2', 'TLSv1.3'];
const ALT = 'DNS:localhost,IP:127.0.0.1';

function only(version) {
  return { minVersion: version, maxVersion: version };
}

// A certificate of an authority of the story's own, as settings of a node.
async function certified(w, options = {}) {
  const made = new Certificates(w.folder);
  const caFile = await made.authority('ca');
  const pair = await made.sign('ca', 'node', ALT, options);
  return { made, caFile, ca: readFileSync(caFile, 'utf8'), pair };
}

async function encrypted(w, n = 1, set = {}) {
  const cert = await certified(w);
  const nodes = await w.cluster(n, { node: { ca: cert.ca, set: { ...set, tls: { ...cert.pair, ...set.tls } } } });
  return { ...cert, nodes, node: nodes[0] };
}

// A TLS connection after its handshake; rejects with why there is none.
function connect(w, node, options = {}) {
  const socket = tls.connect({ port: node.port, host: '127.0.0.1', ca: node.ca, ...options });
  w.atEnd(() => socket.destroy());
  return deadline(new Promise((resolve, reject) => {
    socket.once('secureConnect', () => {
      socket.on('error', () => {});
      resolve(socket);
    });
    socket.once('error', reject);
  }), { what: 'a handshake' });
}

// All that it says until it ends; the sessions that it gives on the way go to onSession.
async function ask(socket, bytes) {
  let said = '';
  socket.on('data', (data) => (said += data.toString('latin1')));
  const closed = new Promise((resolve) => socket.once('close', resolve));
  socket.write(bytes);
  await deadline(closed, { what: 'the connection to be closed' });
  return said;
}

const LAST_REQUEST = 'GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n';

for (const version of VERSIONS) {
  story(`${version}: publish, follow, resume, long-poll`, async (w) => {
    const { nodes: [a, b] } = await encrypted(w, 2, { sse: { heartbeat_ms: 100 } });
    const api = w.client(a, only(version));
    const secure = only(version);
    const stream = await w.follow(b, 'topic=t', { secure });
    assert.equal(stream.socket.getProtocol(), version);
    assert.ok(stream.socket.authorized);
    const ids = [];
    for (let n = 0; n < 10; n++) ids.push(...(await api.published('t', events(n * 100 + 1, n * 100 + 100))));
    // Larger than a record, and than what a socket takes at once.
    for (let n = 0; n < 20; n++) ids.push(...(await api.published('t', event(n, { payload: { text: `${n}`.repeat(100_000) } }))));
    await stream.take(ids.length);
    assert.deepEqual(stream.events.map((e) => e.id), ids);
    await stream.until(() => stream.comments >= 2, { what: 'heartbeats' });
    stream.cut();

    const again = await w.follow(a, 'topic=t', { lastEventId: ids[499], secure });
    await again.take(ids.length - 500);
    assert.deepEqual(again.events.map((e) => e.id), ids.slice(500));
    const old = await w.follow(a, 'topic=t', { lastEventId: ids[999], secure, http: '1.0' });
    await old.take(20);

    const poll = api.poll(`topic=t&lastEventId=${ids.at(-1)}&wait_ms=10000`);
    const [last] = await api.published('t', event(0));
    assert.deepEqual((await poll).json.events.map((e) => e.id), [last]);
    await again.until(() => again.events.at(-1).id === last, { what: 'the last event' });
    assert.ok((await a.metric('weft_tls_handshakes_total')) >= 2);
    assert.ok((await a.metric('weft_tls_certificate_expires_seconds')) > Date.now() / 1000);

    // A drained node says goodbye as in the clear.
    const stopped = a.stop();
    await again.waitControl('weft.moved');
    await again.until(() => again.complete, { what: 'the last chunk', mayEnd: true });
    assert.equal((await stopped).code, 0);
  });
}

story('WebSockets', async (w) => {
  const { node } = await encrypted(w);
  const api = w.client(node);
  for (const version of VERSIONS) {
    const [before] = await api.published('t', event(0));
    const ws = await w.ws(node, { secure: only(version), headers: { Origin: node.origin } });
    await ws.subscribe('t', { cursor: before });
    const ids = [];
    for (let n = 0; n < 20; n++) ids.push(...(await api.published('t', event(n, { payload: { text: `${n}`.repeat(30_000) } }))));
    const said = await ws.ok('publish', { topic: 't', events: events(1, 100).map((e) => ({ ...e, payload: { text: 'z'.repeat(5000) } })) });
    ids.push(...said.ids);
    assert.deepEqual((await ws.take(ids.length)).map((e) => e.id), ids);
    ws.close(1000);
    await deadline(ws.closed, { what: 'the end of the socket' });
    assert.equal(ws.closeCode, 1000);
    // Broken by the client: told, and closed behind it.
    const wrong = await w.ws(node, { secure: only(version) });
    wrong.frame(3, 'what is that');
    await deadline(wrong.closed, { what: 'the end of the socket' });
    assert.equal(wrong.closeCode, 1002);
  }
});

story('the command line', async (w) => {
  const { node, caFile, ca } = await encrypted(w);
  const weft = (words, env = {}) => run(bin('weft'), words, { env: { PATH: process.env.PATH, ...env } });
  const url = ['--url', node.origin];
  const refused = await weft(['topics', ...url]);
  assert.equal(refused.code, 4);
  assert.match(refused.stderr, /certificate/);
  const published = await weft(['publish', 't', 'a.b', '{"n":1}', ...url, '--ca', caFile]);
  assert.equal(published.code, 0, published.stderr);
  const tail = await weft(['tail', 't', '--since', 'earliest', '--count', '1', ...url], { WEFT_CA: caFile });
  assert.equal(tail.code, 0, tail.stderr);
  assert.match(tail.stdout, /"n":1/);
  const nowhere = await weft(['topics', ...url, '--ca', path.join(w.folder, 'nowhere')]);
  assert.equal(nowhere.code, 2);
  assert.match(nowhere.stderr, /--ca/);
  assert.ok(ca);
}, { needs: ['weftd', 'weft'] });

story('old versions are refused, and told so', async (w) => {
  const { node, pair } = await encrypted(w);
  for (const version of ['TLSv1', 'TLSv1.1']) {
    await assert.rejects(connect(w, node, { ...only(version), ciphers: 'DEFAULT@SECLEVEL=0' }), /alert protocol version/);
  }
  const strict = await w.node({ ca: node.ca, set: { tls: { ...pair, min_version: '1.3' } } });
  await assert.rejects(connect(w, strict, only('TLSv1.2')), /alert protocol version/);
  assert.equal((await connect(w, strict)).getProtocol(), 'TLSv1.3');
  await assert.rejects(connect(w, node, { ...only('TLSv1.2'), ciphers: 'AES128-SHA:AES256-GCM-SHA384:ECDHE-ECDSA-AES128-SHA' }), /alert handshake failure/);
  await node.metricReaches('weft_tls_handshakes_failed_total', 3);
});

story('HTTP/2 is not spoken', async (w) => {
  const { node } = await encrypted(w);
  for (const version of VERSIONS) {
    assert.equal((await connect(w, node, { ...only(version), ALPNProtocols: ['h2', 'http/1.1'] })).alpnProtocol, 'http/1.1');
    assert.equal((await connect(w, node, { ...only(version), ALPNProtocols: ['http/1.0'] })).alpnProtocol, 'http/1.0');
    assert.equal((await connect(w, node, only(version))).alpnProtocol, false);
    await assert.rejects(connect(w, node, { ...only(version), ALPNProtocols: ['h2'] }), /alert no application protocol/);
    for (const options of [{}, { ALPNProtocols: ['http/1.1'] }]) {
      const said = await ask(await connect(w, node, { ...only(version), ...options }), preface());
      assert.ok(said === '' || said.startsWith('HTTP/1.1 400 '), said);
    }
  }
  assert.match(await ask(await connect(w, node), LAST_REQUEST), /^HTTP\/1\.1 200 /);
});

story('what is no TLS, or breaks it, ends its connection and nothing else', async (w) => {
  const { node } = await encrypted(w);
  const stream = await w.follow(node, 'topic=t');
  const random = w.random();
  const hello = await helloOf(w);
  const openings = [Buffer.from(LAST_REQUEST), Buffer.from('GET / HTTP/1.0\r\n\r\n'), preface(), randomBytes(5000), Buffer.alloc(20_000)];
  for (let n = 0; n < 200; n++) {
    const broken = Buffer.from(hello);
    for (let k = 0; k <= n % 4; k++) broken[random.below(broken.length)] = random.below(256);
    openings.push(n % 3 === 0 ? broken.subarray(0, 1 + random.below(broken.length - 1)) : broken);
  }
  for (const bytes of openings) {
    const raw = new RawHttp(node.port);
    await raw.write(bytes);
    raw.socket.end();
    const said = await raw.rest();
    assert.ok(!said.includes('HTTP/'), said);
  }
  // Bytes that no key fits, behind a handshake: of a request, and of a stream.
  for (const version of VERSIONS) {
    for (const request of [null, 'GET /api/events?topic=t HTTP/1.1\r\nHost: x\r\nAccept: text/event-stream\r\n\r\n']) {
      const bare = net.connect({ port: node.port, host: '127.0.0.1' });
      bare.on('error', () => {});
      const socket = await connect(w, node, { ...only(version), socket: bare, servername: 'localhost' });
      if (request) {
        const answered = new Promise((resolve) => socket.once('data', resolve));
        socket.write(request);
        await deadline(answered, { what: 'the head' });
      }
      const closed = new Promise((resolve) => bare.once('close', resolve));
      bare.write(Buffer.concat([Buffer.from([23, 3, 3, 0, 100]), randomBytes(100)]));
      await deadline(closed, { what: 'the connection to be closed' });
    }
  }
  const ids = await w.client(node).published('t', events(1, 3));
  assert.deepEqual((await stream.take(3)).map((e) => e.id), ids);
});

// The first bytes of a client.
async function helloOf(w) {
  let taken;
  const hello = new Promise((resolve) => (taken = resolve));
  const server = net.createServer((socket) => socket.on('error', () => {}).once('data', taken));
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
  w.atEnd(() => server.close());
  const client = tls.connect({ port: server.address().port, host: '127.0.0.1' }).on('error', () => {});
  const bytes = await deadline(hello, { what: 'a ClientHello' });
  client.destroy();
  return bytes;
}

story('who asks for other keys in the middle is not given any', async (w) => {
  const { node } = await encrypted(w);
  const socket = await connect(w, node, only('TLSv1.2'));
  const ended = new Promise((resolve) => {
    socket.on('error', resolve);
    socket.on('close', () => resolve(new Error('closed')));
  });
  socket.renegotiate({}, () => {});
  assert.ok(await deadline(ended, { what: 'the end of the connection' }));
  // On a stream, where the session is the node's own: refused as well.
  const stream = await w.follow(node, 'topic=t', { secure: only('TLSv1.2') });
  const gone = deadline(stream.closed, { what: 'the end of the stream' });
  stream.socket.renegotiate({}, () => {});
  await gone;
  assert.equal((await w.client(node).get('/healthz')).status, 200);
});

// `openssl s_client` changes its keys at each line that begins with k.
async function rekeys(w, node, times, request) {
  const program = w.program('openssl', ['s_client', '-connect', `127.0.0.1:${node.port}`, '-tls1_3', '-quiet', '-no_ign_eof'], { stdio: ['pipe', 'pipe', 'pipe'] });
  program.child.stdin.on('error', () => {});
  if (request) {
    program.child.stdin.write(request);
    await program.line((text) => /^HTTP\/1\.1 200/.test(text), { what: 'an answer' });
  }
  for (let n = 0; n < times && program.running; n++) {
    const before = program.lines.length;
    program.child.stdin.write('k\n');
    await Promise.race([program.exited, until(() => program.lines.length > before, { what: 'new keys', every: 1 })]);
  }
  return program;
}

story('who does nothing but change keys is cut; who does so now and then is not', async (w) => {
  const { node } = await encrypted(w);
  const some = await rekeys(w, node, 20, 'GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n');
  some.child.stdin.write('GET /readyz HTTP/1.1\r\nHost: x\r\n\r\n');
  await some.line((text) => /X-Request-Id|^HTTP/i.test(text), { what: 'another answer', from: 2 });
  const many = await rekeys(w, node, 300);
  assert.ok(!many.running);
  assert.equal((await w.client(node).get('/healthz')).status, 200);
});

// Kubernetes' way: the files are links into a folder that a link leads to, which is swapped at once.
class Mounted {
  constructor(folder, pair) {
    this.folder = folder;
    this.n = 0;
    mkdirSync(folder);
    this.swap(pair);
    for (const name of ['tls.crt', 'tls.key']) symlinkSync(path.join('..data', name), path.join(folder, name));
    this.pair = { cert: path.join(folder, 'tls.crt'), key: path.join(folder, 'tls.key') };
  }

  swap({ cert, key }) {
    const folder = `..${++this.n}`;
    mkdirSync(path.join(this.folder, folder));
    copyFileSync(cert, path.join(this.folder, folder, 'tls.crt'));
    copyFileSync(key, path.join(this.folder, folder, 'tls.key'));
    symlinkSync(folder, path.join(this.folder, '..new'));
    renameSync(path.join(this.folder, '..new'), path.join(this.folder, '..data'));
    if (this.n > 1) rmSync(path.join(this.folder, `..${this.n - 1}`), { recursive: true });
  }
}

story('a certificate is renewed under living streams: by a swapped link, by SIGHUP; a wrong one is not taken', async (w) => {
  const { made, ca, pair } = await certified(w);
  const second = await made.sign('ca', 'second', ALT);
  const third = await made.sign('ca', 'third', ALT);
  const mounted = new Mounted(path.join(w.folder, 'mounted'), pair);
  const [node] = await w.cluster(1, { node: { ca, set: { tls: mounted.pair } } });
  const shown = async () => (await connect(w, node)).getPeerCertificate().subject.CN;
  const stream = await w.follow(node, 'topic=t');
  let published = 0;
  const delivers = async () => {
    const [id] = await w.client(node).published('t', event(++published));
    await stream.take(published);
    assert.equal(stream.events.at(-1).id, id);
  };
  assert.equal(await shown(), 'node');

  mounted.swap(second);
  await node.logged('tls.reloaded');
  await until(async () => (await shown()) === 'second', { what: 'the second certificate' });
  await delivers();

  // Of two that do not belong together neither is taken; nor is what is no certificate.
  let from = node.logLength;
  mounted.swap({ cert: third.cert, key: second.key });
  const mismatch = await node.logged('tls.reload_failed', { from });
  assert.equal(mismatch.field, 'tls.key');
  from = node.logLength;
  mounted.swap({ cert: third.key, key: third.key });
  assert.equal((await node.logged('tls.reload_failed', { from })).field, 'tls.cert');
  assert.equal(await shown(), 'second');
  assert.equal(await node.metric('weft_tls_reloads_failed_total'), 2);
  await delivers();

  from = node.logLength;
  mounted.swap(third);
  node.program.signal('SIGHUP');
  await node.logged('config.reloaded', { from });
  await until(async () => (await shown()) === 'third', { what: 'the third certificate' });
  await delivers();
  assert.equal(stream.socket.getPeerCertificate().subject.CN, 'node');
  assert.ok((await node.metric('weft_tls_reloads_total')) >= 2);
});

story('SIGHUP: the configuration is read again; what is wrong changes nothing, what needs a restart is told', async (w) => {
  const file = path.join(w.folder, 'weft.json');
  writeFileSync(file, JSON.stringify({ log: { level: 'info' }, sse: { retry_ms: 1000 } }));
  const [node] = await w.cluster(1, { node: { args: ['--config', file] } });
  let from = node.logLength;
  writeFileSync(file, JSON.stringify({ log: { level: 'warn' }, sse: { retry_ms: 2000 } }));
  node.program.signal('SIGHUP');
  assert.equal((await node.logged('config.needs_restart', { from })).field, 'sse.retry_ms');
  await node.metricReaches('weft_config_reloads_total', 1);
  from = node.logLength;
  writeFileSync(file, JSON.stringify({ log: { level: 'loud' } }));
  node.program.signal('SIGHUP');
  assert.equal((await node.logged('config.reload_failed', { from })).field, 'log.level');
  writeFileSync(file, JSON.stringify({ log: { level: 'info' }, sse: { retry_ms: 1000 }, tls: { cert: '/nowhere' } }));
  node.program.signal('SIGHUP');
  await node.logged('config.reloaded', { from });
  assert.equal((await node.logged('config.needs_restart', { from })).field, 'tls.cert');
  assert.equal(await node.metric('weft_config_reloads_failed_total'), 1);
  assert.equal(await node.metric('weft_config_reloads_total'), 2);
});

// Gives a session of `from`, then shows it to `to`: was it resumed?
async function resumes(w, from, to, version) {
  const first = await connect(w, from, only(version));
  let session = first.getSession();
  first.on('session', (given) => (session = given));
  const said = await ask(first, LAST_REQUEST);
  assert.match(said, /^HTTP\/1\.1 200 /);
  assert.ok(session);
  const second = await connect(w, to, { ...only(version), session });
  const resumed = second.isSessionReused();
  assert.match(await ask(second, LAST_REQUEST), /^HTTP\/1\.1 200 /);
  return resumed;
}

story('a session of one node resumes on another that has the keys', async (w) => {
  const { ca, pair } = await certified(w);
  const keys = path.join(w.folder, 'ticket.keys');
  const raw = path.join(w.folder, 'ticket.raw');
  const old = randomBytes(80);
  const fresh = randomBytes(80);
  writeFileSync(keys, `${old.toString('base64')}\n`);
  writeFileSync(raw, old);
  const shared = (file) => ({ node: { ca, set: { tls: { ...pair, ticket_keys: file } } } });
  const [a] = await w.cluster(1, shared(keys));
  const [b] = await w.cluster(1, shared(raw));
  const [alone] = await w.cluster(1, { node: { ca, set: { tls: pair } } });
  for (const version of VERSIONS) {
    assert.equal(await resumes(w, a, a, version), true, `${version}, the same node`);
    assert.equal(await resumes(w, a, b, version), true, `${version}, another node`);
    assert.equal(await resumes(w, b, a, version), true, `${version}, and back`);
    assert.equal(await resumes(w, a, alone, version), false, `${version}, a node without the keys`);
    assert.equal(await resumes(w, alone, alone, version), true, `${version}, keys of its own`);
  }
  assert.ok((await b.metric('weft_tls_sessions_resumed_total')) >= 2);

  // A new first key; the old one still decrypts, until it is taken away.
  const from = a.logLength;
  writeFileSync(`${keys}.new`, `${fresh.toString('base64')}\n\n${old.toString('base64')}\n`);
  renameSync(`${keys}.new`, keys);
  await a.logged('tls.reloaded', { from });
  for (const version of VERSIONS) {
    await until(() => resumes(w, b, a, version), { what: `${version}: the old key to go on` });
    assert.equal(await resumes(w, a, a, version), true, `${version}: the new key`);
    assert.equal(await resumes(w, a, b, version), false, `${version}: the new key where it is not known`);
  }
  const wrong = a.logLength;
  writeFileSync(keys, 'not a key\n');
  assert.equal((await a.logged('tls.reload_failed', { from: wrong })).field, 'tls.ticket_keys');
  assert.equal(await resumes(w, a, a, 'TLSv1.3'), true);
});

const PAD = 'x'.repeat(20_000);

story('a reader that stalls holds one write, and is cut', async (w) => {
  const { node } = await encrypted(w, 1, { http: { write_stall_ms: 2000, sndbuf_lowat_bytes: 16_384 }, ring: { events: 20 } });
  const api = w.client(node);
  const slow = await w.follow(node, 'topic=t');
  const fast = await w.follow(node, 'topic=t');
  slow.pause();
  const ids = [];
  for (let n = 0; n < 50; n++) ids.push(...(await api.published('t', Array.from({ length: 20 }, (_, k) => event(n * 20 + k, { payload: { pad: PAD } })))));
  await fast.take(ids.length);
  assert.deepEqual(fast.events.map((e) => e.id), ids);
  await node.metricReaches('weft_subscriber_stalled_total', 1, { ms: 20_000 });
  slow.resume();
  await deadline(slow.closed, { what: 'the end of the stalled stream' });
  // What came is a whole beginning: it resumes behind it.
  const again = await w.follow(node, 'topic=t', { lastEventId: slow.lastId });
  await again.take(ids.length - slow.events.length);
  assert.deepEqual([...slow.events, ...again.events].map((e) => e.id), ids);
});

story('a reader that pauses gets everything, byte for byte', async (w) => {
  const { node } = await encrypted(w, 1, { ring: { events: 20 } });
  const api = w.client(node);
  const streams = [];
  for (const version of VERSIONS) streams.push(await w.follow(node, 'topic=t', { secure: only(version) }));
  const ids = [];
  const random = w.random();
  for (let n = 0; n < 60; n++) {
    for (const stream of streams) stream[random.below(2) === 0 ? 'pause' : 'resume']();
    ids.push(...(await api.published('t', Array.from({ length: 10 }, (_, k) => event(n * 10 + k, { payload: { pad: 'y'.repeat(random.below(30_000)) } })))));
  }
  for (const stream of streams) {
    stream.resume();
    await stream.take(ids.length, { ms: 30_000 });
    assert.deepEqual(stream.events.map((e) => e.id), ids);
  }
});

story('handshakes have their time, and count as connections', async (w) => {
  const { node } = await encrypted(w, 1, { tls: { handshake_timeout_ms: 1500 }, http: { max_connections: 10 } });
  const hello = await helloOf(w);
  const silent = [];
  for (let n = 0; n < 8; n++) {
    const raw = new RawHttp(node.port);
    w.atEnd(() => raw.destroy());
    silent.push(raw);
    if (n % 2 === 0) await raw.write(hello.subarray(0, 40));
  }
  await node.metricReaches('weft_connections', (n) => n >= 8, { every: 100 });
  const more = [new RawHttp(node.port), new RawHttp(node.port), new RawHttp(node.port)];
  for (const raw of more) w.atEnd(() => raw.destroy());
  // The last ones are over the cap: closed, without words in the clear.
  await deadline(Promise.race(more.map((raw) => raw.closed)), { what: 'a connection over the cap to be closed' });
  for (const raw of silent) assert.equal(await raw.rest(), '');
  await node.metricReaches('weft_tls_handshakes_failed_total', (n) => n >= 8);
  assert.ok((await node.metric('weft_connections_refused_total')) >= 1);
  await node.metricReaches('weft_connections', (n) => n <= 2);
});

story('a client that leaves a long-poll is noticed', async (w) => {
  const { node } = await encrypted(w);
  const [id] = await w.client(node).published('t', event(1));
  for (const version of VERSIONS) {
    const socket = await connect(w, node, only(version));
    socket.write(`GET /api/events?topic=t&lastEventId=${id}&wait_ms=20000 HTTP/1.1\r\nHost: x\r\nAccept: application/json\r\n\r\n`);
    await node.metricReaches('weft_subscribers', 1);
    socket.end();
    await node.metricReaches('weft_subscribers', 0);
  }
  const stream = await w.follow(node, 'topic=t');
  await node.metricReaches('weft_subscribers', 1);
  stream.socket.end();
  await node.metricReaches('weft_subscribers', 0);
});

story('files that are wrong end the start, and are named', async (w) => {
  const { made, ca, pair } = await certified(w);
  const other = await made.sign('ca', 'other', ALT);
  const keys = path.join(w.folder, 'short');
  writeFileSync(keys, randomBytes(81));
  await w.redis();
  for (const [set, field] of [
    [{ cert: '/nowhere.pem', key: pair.key }, 'tls.cert: /nowhere.pem: .*No such file'],
    [{ cert: pair.key, key: pair.key }, 'tls.cert'],
    [{ cert: pair.cert, key: '/nowhere.pem' }, 'tls.key'],
    [{ cert: pair.cert, key: pair.cert }, 'tls.key'],
    [{ cert: pair.cert }, 'tls.key'],
    [{ cert: pair.cert, key: other.key }, 'tls.key: .*mismatch'],
    [{ key: pair.key }, 'tls.cert'],
    [{ ...pair, ticket_keys: '/nowhere' }, 'tls.ticket_keys'],
    [{ ...pair, ticket_keys: keys }, 'tls.ticket_keys: .*81 bytes'],
  ]) {
    const error = await w.node({ ca, set: { tls: set }, ready: false }).then(() => null, (e) => e);
    assert.ok(error, `${JSON.stringify(set)} was taken`);
    const node = w.nodes.at(-1);
    node.mayDie = true;
    assert.match(node.program.output(), new RegExp(field));
  }
  const expired = await made.sign('ca', 'expired', ALT, { days: -1 });
  const node = await w.node({ ca, set: { tls: expired }, ready: false });
  assert.equal((await node.logged('tls.certificate_expired')).field, 'tls.cert');
  // One file for both is fine.
  const both = path.join(w.folder, 'both.pem');
  writeFileSync(both, readFileSync(pair.cert, 'utf8') + readFileSync(pair.key, 'utf8'));
  const one = await w.node({ ca, set: { tls: { cert: both } } });
  assert.equal((await w.client(one).get('/healthz')).status, 200);
});

story('a scanner finds nothing weak', async (w) => {
  const { node, made, ca } = await encrypted(w);
  const rsa = await made.sign('ca', 'rsa', ALT, { rsa: true });
  const other = await w.node({ ca, set: { tls: rsa } });
  for (const [scanned, kind] of [[node, 'ECDSA'], [other, 'RSA']]) {
    const file = path.join(w.folder, `scan-${kind}.xml`);
    const done = await run('sslscan', ['--no-colour', '--show-ciphers', `--xml=${file}`, `127.0.0.1:${scanned.port}`], { ms: 60_000 });
    assert.equal(done.code, 0, done.stderr);
    const xml = readFileSync(file, 'utf8');
    const protocols = [...xml.matchAll(/<protocol type="(\w+)" version="([\d.]+)" enabled="(\d)"/g)].map((m) => `${m[1]}${m[2]}=${m[3]}`).sort();
    assert.deepEqual(protocols, ['ssl2=0', 'ssl3=0', 'tls1.0=0', 'tls1.1=0', 'tls1.2=1', 'tls1.3=1']);
    assert.match(xml, /<renegotiation supported="0" secure="\d"\s*\/>/);
    // Where sslscan's OpenSSL cannot compress it does not ask.
    assert.ok(!/<compression supported="1"/.test(xml));
    const openssl = await run('openssl', ['s_client', '-connect', `127.0.0.1:${scanned.port}`, '-tls1_2', '-comp'], { input: LAST_REQUEST.replaceAll('\r', '') });
    assert.match(openssl.stdout, /Compression: NONE/);
    const ciphers = [...xml.matchAll(/<cipher status="(\w+)" sslversion="([^"]+)" bits="(\d+)" cipher="([^"]+)"/g)].map((m) => ({ version: m[2], bits: Number(m[3]), name: m[4] }));
    assert.ok(ciphers.length >= 6, xml);
    for (const cipher of ciphers) {
      assert.ok(cipher.bits >= 128, cipher.name);
      assert.match(cipher.name, cipher.version === 'TLSv1.3' ? /^TLS_(AES|CHACHA20)/ : new RegExp(`^ECDHE-${kind}-(AES(128|256)-GCM|CHACHA20)`));
    }
    const groups = [...xml.matchAll(/<group sslversion="[^"]+" bits="\d+" name="([^"]+)"/g)].map((m) => m[1]);
    for (const group of groups) assert.match(group, /^(x25519|secp256r1|secp384r1)/);
    assert.ok(!/heartbleed[^>]*vulnerable="1"/.test(xml));
  }
}, { timeout: 120_000 });
