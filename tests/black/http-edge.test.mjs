// The edge of HTTP. Behind a proxy, two readings of one request are a smuggled second one; and HTTP/2 of the library
// that carries the node can be aborted from outside. So HTTP/2 is off, whatever is ambiguous is refused with
// one answer and a closed connection, and ordinary clients keep theirs.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { story } from './lib/story.mjs';
import { event, parseHead, RawHttp } from './lib/http.mjs';
import { ROOT } from './lib/node.mjs';
import { preface, windowUpdateAbort } from './lib/http2.mjs';
import { SLOW, sleep } from './lib/wait.mjs';

const BODY = JSON.stringify(event(1));
const SMUGGLED = 'GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n';
const POST = 'POST /api/topics/t/events HTTP/1.1\r\n';
const TYPE = 'Content-Type: application/json\r\n';
const CHUNKED_BODY = `${BODY.length.toString(16)}\r\n${BODY}\r\n0\r\n\r\n`;

function count(text, what) {
  return text.split(what).length - 1;
}

// Everything that the node says to these bytes until it closes.
async function conversation(node, bytes, ms = 8000) {
  const raw = new RawHttp(node.port);
  await raw.write(bytes);
  try {
    return await raw.rest(ms);
  } finally {
    raw.destroy();
  }
}

// One answer of 400 to 499, or none, and the end of the connection; nothing published.
async function checkRefused(w, node, table) {
  const before = await w.store.fingerprint();
  const failures = [];
  for (const [name, bytes, { silent = false } = {}] of table) {
    try {
      const said = await conversation(node, bytes);
      const answers = count(said, 'HTTP/1.');
      if (!(silent && answers === 0)) {
        assert.equal(answers, 1, `${answers} answers: ${JSON.stringify(said.slice(0, 300))}`);
        const { status } = parseHead(said.slice(0, said.indexOf('\r\n\r\n')));
        assert.ok(status >= 400 && status < 500, `status ${status}`);
      }
      assert.equal(await w.store.fingerprint(), before, 'something was published');
    } catch (error) {
      failures.push(`${name}: ${error.message}`);
    }
  }
  assert.deepEqual(failures, []);
  assert.equal((await w.client(node).get('/healthz')).status, 200, 'and the node serves');
}

const both = `Content-Length: ${BODY.length}\r\n`;
const smuggling = [
  ['Content-Length and Transfer-Encoding', `${POST}Host: x\r\n${TYPE}${both}Transfer-Encoding: chunked\r\n\r\n${CHUNKED_BODY}${SMUGGLED}`],
  ['Transfer-Encoding and Content-Length', `${POST}Host: x\r\n${TYPE}Transfer-Encoding: chunked\r\n${both}\r\n${CHUNKED_BODY}${SMUGGLED}`],
  ['Content-Length: 0 and Transfer-Encoding', `${POST}Host: x\r\n${TYPE}Content-Length: 0\r\nTransfer-Encoding: chunked\r\n\r\n${CHUNKED_BODY}${SMUGGLED}`],
  ['CL.TE', `${POST}Host: x\r\n${TYPE}Content-Length: 6\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nG${SMUGGLED}`],
  ['TE.CL', `${POST}Host: x\r\n${TYPE}Transfer-Encoding: chunked\r\nContent-Length: 4\r\n\r\n${CHUNKED_BODY}${SMUGGLED}`],
  ['two Transfer-Encoding', `${POST}Host: x\r\n${TYPE}Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n${CHUNKED_BODY}${SMUGGLED}`],
  ['chunked, then identity', `${POST}Host: x\r\n${TYPE}Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n${CHUNKED_BODY}${SMUGGLED}`],
  ...[
    'Transfer-Encoding : chunked', 'Transfer-Encoding: xchunked', 'Transfer-Encoding: chunked, identity', 'Transfer-Encoding: identity',
    'Transfer-Encoding: identity, chunked', 'Transfer-Encoding: gzip, chunked', 'Transfer-Encoding: chunked;q=1', "Transfer-Encoding: 'chunked'",
    'Transfer-Encoding: "chunked"', 'Transfer-Encoding: \x0bchunked', 'Transfer-Encoding: chunked\x0b', 'Transfer-Encoding: \x00chunked',
    'Transfer-Encoding:\tchunked', 'Transfer-Encoding: chunKED', ' Transfer-Encoding: chunked', 'Transfer-Encoding:\r\n chunked',
    'Transfer-Encoding\r\n: chunked', 'X: x\nTransfer-Encoding: chunked', 'X: x\rTransfer-Encoding: chunked', 'Transfer-Encoding: ',
    'Transfer-Encoding: chunked, chunked', 'Transfer-Encoding: cow', 'Transfer_Encoding: chunked\r\nTransfer-Encoding: chunked', 'Transfer-Encoding: chunked\r\nContent-Encoding: x',
  ].map((line) => [`Content-Length and ${JSON.stringify(line)}`, `${POST}Host: x\r\n${TYPE}${both}${line}\r\n\r\n${BODY}${SMUGGLED}`]),
  ['GET with both', `GET /healthz HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n${SMUGGLED}`],
  ['HTTP/1.0 with Transfer-Encoding', `POST /api/topics/t/events HTTP/1.0\r\nHost: x\r\n${TYPE}${both}Transfer-Encoding: chunked\r\n\r\n${CHUNKED_BODY}${SMUGGLED}`],
  ['two different Content-Length', `${POST}Host: x\r\n${TYPE}Content-Length: ${BODY.length}\r\nContent-Length: ${BODY.length + SMUGGLED.length}\r\n\r\n${BODY}${SMUGGLED}`],
  ['two equal Content-Length', `${POST}Host: x\r\n${TYPE}${both}${both}\r\n${BODY}${SMUGGLED}`],
  ...[`${BODY.length}, ${BODY.length}`, `+${BODY.length}`, `-${BODY.length}`, `0x${BODY.length.toString(16)}`, `${BODY.length} 0`, `${BODY.length}a`, '', '1e1', '99999999999999999999999', `${BODY.length}\x0b`, `${BODY.length}.0`].map((value) => [
    `Content-Length: ${JSON.stringify(value)}`,
    `${POST}Host: x\r\n${TYPE}Content-Length: ${value}\r\n\r\n${BODY}${SMUGGLED}`,
  ]),
];

story(`${smuggling.length} requests with two lengths: one answer, then closed`, async (w) => {
  const [node] = await w.cluster();
  await checkRefused(w, node, smuggling);
}, { timeout: 180_000 });

const malformed = [
  ['no Host', 'GET /healthz HTTP/1.1\r\n\r\n'],
  ['two Hosts', 'GET /healthz HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n'],
  ['the same Host twice', 'GET /healthz HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n'],
  ['POST without Host', `${POST}${TYPE}${both}\r\n${BODY}`],
  ['POST with two Hosts', `${POST}Host: a\r\n${TYPE}Host: b\r\n${both}\r\n${BODY}`],
  ['obs-fold', `${POST}Host: x\r\nX-Folded: a\r\n b\r\n${TYPE}${both}\r\n${BODY}`],
  ['obs-fold with a tab', `GET /healthz HTTP/1.1\r\nHost: x\r\nX: a\r\n\tb\r\n\r\n`],
  ['obs-fold in the first header', `GET /healthz HTTP/1.1\r\n folded\r\nHost: x\r\n\r\n`],
  ['bare LF after the request line', `GET /healthz HTTP/1.1\nHost: x\r\n\r\n`],
  ['bare LF after a header', `GET /healthz HTTP/1.1\r\nHost: x\n\r\n`],
  ['bare LF everywhere', `GET /healthz HTTP/1.1\nHost: x\n\n`],
  ['bare LF before the body', `${POST}Host: x\r\n${TYPE}${both}\n${BODY}`],
  ['bare CR in a header', 'GET /healthz HTTP/1.1\r\nHost: x\r\nX: a\rb\r\n\r\n'],
  ['space before the colon', 'GET /healthz HTTP/1.1\r\nHost : x\r\n\r\n'],
  ['no colon', 'GET /healthz HTTP/1.1\r\nHost: x\r\nnonsense\r\n\r\n'],
  ['empty header name', 'GET /healthz HTTP/1.1\r\nHost: x\r\n: a\r\n\r\n'],
  ['NUL in a header', 'GET /healthz HTTP/1.1\r\nHost: x\r\nX: a\0b\r\n\r\n'],
  ['NUL in the path', 'GET /heal\0thz HTTP/1.1\r\nHost: x\r\n\r\n'],
  ['control byte in a header', 'GET /healthz HTTP/1.1\r\nHost: x\r\nX: \x01\r\n\r\n'],
  ['no version', 'GET /healthz\r\nHost: x\r\n\r\n'],
  ['a version to come', 'GET /healthz HTTP/3.0\r\nHost: x\r\n\r\n'],
  ['not HTTP', 'hello\r\n\r\n'],
  ['random bytes', Buffer.from(Array.from({ length: 300 }, (_, i) => (i * 131 + 7) % 256)), { silent: true }],
  ['a TLS handshake', Buffer.concat([Buffer.from('160301002e0100002a0303', 'hex'), Buffer.alloc(38), Buffer.from('\r\n\r\n')]), { silent: true }],
  ['a negative chunk size', `${POST}Host: x\r\n${TYPE}Transfer-Encoding: chunked\r\n\r\n-1\r\n${BODY}\r\n0\r\n\r\n`],
  ['a chunk size in 0x', `${POST}Host: x\r\n${TYPE}Transfer-Encoding: chunked\r\n\r\n0x${BODY.length.toString(16)}\r\n${BODY}\r\n0\r\n\r\n`],
  ['an endless chunk size', `${POST}Host: x\r\n${TYPE}Transfer-Encoding: chunked\r\n\r\nfffffffffffffffff\r\n${BODY}\r\n0\r\n\r\n`],
  ['a chunk size that is none', `${POST}Host: x\r\n${TYPE}Transfer-Encoding: chunked\r\n\r\nzz\r\n${BODY}\r\n0\r\n\r\n`],
];

story(`${malformed.length} malformed requests: refused, closed, the node stays`, async (w) => {
  const [node] = await w.cluster();
  await checkRefused(w, node, malformed);
}, { timeout: 180_000 });

story('a second request behind a refused one is not served', async (w) => {
  const [node] = await w.cluster();
  const said = await conversation(node, `GET /healthz HTTP/1.1\r\n\r\n${POST}Host: x\r\n${TYPE}${both}\r\n${BODY}`);
  assert.equal(count(said, 'HTTP/1.1 '), 1);
  assert.match(said, /^HTTP\/1\.1 400/);
  const afterGood = await conversation(node, `${SMUGGLED}GET /healthz HTTP/1.1\r\n\r\n${SMUGGLED}`);
  assert.deepEqual([...afterGood.matchAll(/HTTP\/1\.1 (\d{3})/g)].map((m) => m[1]), ['200', '400']);
  assert.equal(await w.store.cmd('EXISTS', 'weft:{0}:topics'), 0);
});

story('ordinary POSTs keep their connection', async (w) => {
  const [node] = await w.cluster();
  const raw = new RawHttp(node.port);
  for (let n = 0; n < 200; n++) {
    await raw.write(`${POST}Host: x\r\n${TYPE}${both}\r\n${BODY}`);
    const answer = await raw.response();
    assert.equal(answer?.status, 201, `request ${n}`);
  }
  await raw.write('GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n');
  assert.equal((await raw.response()).status, 200);
  assert.equal(await raw.rest(), '', 'closed when asked to');
  assert.equal(await w.store.cmd('XLEN', 'weft:{0}:log:t'), 200);
  raw.destroy();
});

// The library reads chunks more kindly than others do (`0x2a` is a last chunk to it), so nothing behind one is trusted.
story('a chunked body is taken, and is the last thing on its connection', async (w) => {
  const [node] = await w.cluster();
  const said = await conversation(node, `${POST}Host: x\r\n${TYPE}Transfer-Encoding: chunked\r\n\r\n${CHUNKED_BODY}${SMUGGLED}`);
  assert.match(said, /^HTTP\/1\.1 201 /);
  assert.equal(count(said, 'HTTP/1.1 '), 1);
  assert.match(said, /\r\nconnection: close\r\n/i);
  assert.equal(await w.store.cmd('XLEN', 'weft:{0}:log:t'), 1);
});

story('an error of the application keeps the connection as well', async (w) => {
  const [node] = await w.cluster();
  const raw = new RawHttp(node.port);
  await raw.write(`${POST}Host: x\r\n${TYPE}Content-Length: 2\r\n\r\n{}`);
  assert.equal((await raw.response()).status, 400);
  await raw.write('GET /api/topics/never HTTP/1.1\r\nHost: x\r\n\r\n');
  assert.equal((await raw.response()).status, 404);
  await raw.write(`${POST}Host: x\r\n${TYPE}${both}\r\n${BODY}`);
  assert.equal((await raw.response()).status, 201);
  raw.destroy();
});

story('pipelined requests are answered in their order', async (w) => {
  const [node] = await w.cluster();
  const raw = new RawHttp(node.port);
  let bytes = '';
  for (let n = 0; n < 20; n++) {
    const body = JSON.stringify(event(n));
    bytes += `${POST}Host: x\r\n${TYPE}Content-Length: ${body.length}\r\n\r\n${body}GET /api/topics/t HTTP/1.1\r\nHost: x\r\n\r\n`;
  }
  await raw.write(bytes);
  let last = 0;
  for (let n = 0; n < 20; n++) {
    const published = await raw.response();
    assert.equal(published.status, 201);
    const seq = Number(JSON.parse(published.body).ids[0].split('-')[1]);
    assert.equal(seq, last + 1);
    last = seq;
    const read = await raw.response();
    assert.equal(JSON.parse(read.body).last_seq, seq, 'a read after a publish sees it');
  }
  raw.destroy();
});

story('bytes that come one by one', async (w) => {
  const [node] = await w.cluster();
  const raw = new RawHttp(node.port);
  for (const bytes of [
    `${POST}Host: x\r\n${TYPE}${both}\r\n${BODY}`,
    `GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n`,
    `${POST}Host: x\r\n${TYPE}Transfer-Encoding: chunked\r\n\r\n${CHUNKED_BODY}`,
  ]) {
    for (const byte of bytes) await raw.write(byte);
    assert.match(String((await raw.response())?.status), /^20[01]$/, bytes);
  }
  raw.destroy();
});

story('Expect: 100-continue', async (w) => {
  const [node] = await w.cluster();
  const raw = new RawHttp(node.port);
  await raw.write(`${POST}Host: x\r\n${TYPE}${both}Expect: 100-continue\r\n\r\n`);
  assert.equal((await raw.response()).status, 100);
  await raw.write(BODY);
  assert.equal((await raw.response()).status, 201);
  raw.destroy();
});

story('bytes sent after an SSE request are no second request', async (w) => {
  const [node] = await w.cluster();
  const raw = new RawHttp(node.port);
  await raw.write(`GET /api/events?topic=t HTTP/1.1\r\nHost: x\r\nAccept: text/event-stream\r\n\r\n${POST}Host: x\r\n${TYPE}${both}\r\n${BODY}`);
  await node.metricReaches('weft_subscribers', (n) => n <= 1);
  const [id] = await w.client(node).published('t', event(2));
  assert.equal(await w.store.cmd('XLEN', 'weft:{0}:log:t'), 1, `only ${id} was published`);
  raw.destroy();
});

story('HTTP/2 is off: neither the preface nor an upgrade is taken', async (w) => {
  const [node] = await w.cluster();
  const before = await w.store.fingerprint();
  const said = await conversation(node, preface());
  assert.doesNotMatch(said, /^\0\0/, 'no frame of HTTP/2');
  if (said !== '') assert.match(said, /^HTTP\/1\.1 4\d\d/);

  const raw = new RawHttp(node.port);
  await raw.write('GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\n\r\n');
  const answer = await raw.response();
  assert.notEqual(answer?.status, 101);
  assert.ok(answer === null || answer.status === 200 || answer.status === 400, `status ${answer?.status}`);
  raw.destroy();
  assert.equal(await w.store.fingerprint(), before);
});

// The library's HTTP/2 aborts when a stream's window is opened while its last bytes, which filled the window, still wait
// for the socket. Each way into HTTP/2 gets this input. It kills a server of libh2o 2.2.5 whose sockets have
// TCP_NOTSENT_LOWAT, as those of the node have, and whose HTTP/2 is on; the node survives it.
story('the input that aborts the HTTP/2 of the library', async (w) => {
  const [node] = await w.cluster();
  const size = readFileSync(path.join(ROOT, 'pkg/dashboard/style.css')).length;
  assert.ok(size < 16_000, 'one DATA frame has to hold it');
  for (const upgrade of [false, true]) {
    const raw = new RawHttp(node.port);
    raw.socket.pause();
    for (const part of windowUpdateAbort({ target: '/style.css', size, upgrade })) {
      if (raw.socket.destroyed) break;
      raw.write(part);
      await sleep(10);
    }
    await sleep(200);
    raw.socket.resume();
    const said = await raw.rest(15_000).catch(() => '');
    raw.destroy();
    assert.doesNotMatch(said.slice(0, 64), /^\0\0/, 'no frame of HTTP/2');
    assert.ok(node.running, 'the node lives');
    assert.equal((await w.client(node).get('/healthz')).status, 200);
  }
});

story('slowloris: a head or a body that drips is cut, and others are served meanwhile', async (w) => {
  const [node] = await w.cluster(1, { node: { set: { http: { request_timeout_ms: 3000 * SLOW } } } });
  const api = w.client(node);
  const drip = async (head, byte) => {
    const raw = new RawHttp(node.port);
    await raw.write(head);
    const timer = setInterval(() => raw.write(byte), 50);
    try {
      await raw.rest(10_000);
    } finally {
      clearInterval(timer);
      raw.destroy();
    }
  };
  const slow = Promise.all([
    drip('GET /healthz HTTP/1.1\r\nHost: x\r\nX: ', 'a'),
    drip(`${POST}Host: x\r\n${TYPE}Content-Length: 10000\r\n\r\n`, ' '),
    drip(`${POST}Host: x\r\n${TYPE}Transfer-Encoding: chunked\r\n\r\n`, '1\r\n \r\n'),
    drip('', ''),
  ]);
  let over = false;
  slow.then(() => (over = true), () => {}); // awaited below
  for (let i = 0; i < 10; i++) {
    assert.equal((await api.publish('t', event(i))).status, 201);
    assert.ok(!over, 'an answer that waited for them');
  }
  await slow;
});

story('a stream is not cut by the request timeout', async (w) => {
  const [node] = await w.cluster(1, { node: { set: { http: { request_timeout_ms: 200 }, sse: { heartbeat_ms: 150 } } } });
  const stream = await w.follow(node, 'topic=t');
  await stream.until(() => stream.comments >= 6, { what: 'six heartbeats, longer than any timeout' });
  const [id] = await w.client(node).published('t', event(1));
  assert.equal((await stream.take(1))[0].id, id);
});
