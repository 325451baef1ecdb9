// Requests made to be read in two ways, or to be never finished: smuggling beyond what http-edge tries, other protocols, heads and
// bodies beyond all measure. Each is refused and its connection closed, and nothing behind it is done, while healthy clients do not notice.
import assert from 'node:assert/strict';
import { story } from './lib/story.mjs';
import { converse, dial, each, get, held, heldAsBefore, JSON_TYPE, POST, post, serves, statuses } from './lib/abuse.mjs';
import { undisturbed } from './lib/healthy.mjs';
import { preface } from './lib/http2.mjs';
import { QUICK } from './lib/wait.mjs';

const FEW = { sse: QUICK ? 80 : 450 };
const evil = (i) => post(`/api/topics/smuggled-${i}/events`, '{"type":"evil"}');
const EVIL = evil(0);
const BODY = '{"type":"good"}';
const LENGTH = `Content-Length: ${BODY.length}\r\n`;
const CHUNKED = 'Transfer-Encoding: chunked\r\n';
const chunk = (text, size = text.length.toString(16)) => `${size}\r\n${text}\r\n`;
const head = (lines) => `${POST}Host: x\r\n${JSON_TYPE}${lines}\r\n`;

// All are one request and the smuggled one behind it. `may`: statuses that are right beside 4xx, if the connection then ends.
const smuggling = [
  ...['\r\n', '\n', '\r\n\r\n'].flatMap((before) => [
    [`${JSON.stringify(before)} first, HTTP/1.0, both lengths`, `${before}POST /api/topics/t/events HTTP/1.0\r\nConnection: keep-alive\r\n${JSON_TYPE}Content-Length: 4\r\n${CHUNKED}\r\n0\r\n\r\n`],
    [`${JSON.stringify(before)} first, HTTP/1.0, two lengths`, `${before}POST /api/topics/t/events HTTP/1.0\r\nConnection: keep-alive\r\n${JSON_TYPE}${LENGTH}Content-Length: 500\r\n\r\n${BODY}`],
    [`${JSON.stringify(before)} first, two Hosts`, `${before}GET /healthz HTTP/1.0\r\nConnection: keep-alive\r\nHost: a\r\nHost: b\r\n\r\n`],
    [`${JSON.stringify(before)} first, folded`, `${before}GET /healthz HTTP/1.0\r\nConnection: keep-alive\r\nX: a\r\n b\r\n\r\n`],
  ]),
  ...[
    `${CHUNKED}${LENGTH}`, `${LENGTH}${CHUNKED}`, `${LENGTH}Content-Length: 0\r\n`, `${LENGTH}${LENGTH}`, `${LENGTH}content-length: ${BODY.length}\r\n`,
    `Content-Length: 0\r\n${LENGTH}`, `Content-Length: ${BODY.length},${BODY.length}\r\n`, `Content-Length: 0${BODY.length}, 1\r\n`, `Content-Length:\r\n ${BODY.length}\r\n`,
    `Content-Length: ${BODY.length}\x00\r\n`, `Content-Length: 0x0f\r\n`, `Content-Length: 1_5\r\n`, `Content-Length: \u00b2\r\n`, 'Content-Length: 18446744073709551631\r\n',
    'Content-Length: 4294967311\r\n', 'Content-Length: -1\r\n', `Content-Length\t: ${BODY.length}\r\n`, `Content-Length : ${BODY.length}\r\n`,
    `Content-Length: ${BODY.length}\r\n\tX: 1\r\n`, `\tContent-Length: ${BODY.length}\r\n`,
  ].map((lines) => [JSON.stringify(lines), head(lines) + BODY]),
  ...['chunked\r\nTransfer-Encoding: chunked', 'chunked\r\ntransfer-encoding: identity', 'identity\r\nTransfer-Encoding: chunked', 'chunked, chunked', 'chunked,', ',chunked', 'chunkedd', 'chunked x',
    'chunked\x0c', '\x0cchunked', 'chunked\x00', '"chunked"', 'chunked;', 'x, chunked', 'chunked, x', 'gzip', 'deflate, chunked', 'c\u0068unked\xa0', '[chunked]', 'chunked\r\n x'].map(
    (value) => [`Transfer-Encoding: ${JSON.stringify(value)}`, `${head(`Transfer-Encoding: ${value}\r\n`)}${chunk(BODY)}0\r\n\r\n`]),
];

// A chunked body is the last thing on its connection: it may be taken (201), what follows is not.
const chunks = [
  ['LF after the size', `f\n${BODY}\r\n0\r\n\r\n`], ['LF after the data', `f\r\n${BODY}\n0\r\n\r\n`], ['an extension', `f;a=b\r\n${BODY}\r\n0\r\n\r\n`],
  ['an extension with LF', `f;a\nb\r\n${BODY}\r\n0\r\n\r\n`], ['an extension with the smuggled request', `f;${EVIL.replaceAll('\r\n', '\n')}\r\n${BODY}\r\n0\r\n\r\n`], ['a long extension', `f;${'a'.repeat(100_000)}\r\n${BODY}\r\n0\r\n\r\n`],
  ['zeros', `${'0'.repeat(30)}f\r\n${BODY}\r\n0\r\n\r\n`], ['a size too large by 2^32', `10000000f\r\n${BODY}\r\n0\r\n\r\n`], ['by 2^64', `1000000000000000f\r\n${BODY}\r\n0\r\n\r\n`],
  ['ffffffffffffffff', `ffffffffffffffff\r\n${BODY}\r\n0\r\n\r\n`], ['0x', `0xf\r\n${BODY}\r\n0\r\n\r\n`], ['a sign', `+f\r\n${BODY}\r\n0\r\n\r\n`], ['space before', ` f\r\n${BODY}\r\n0\r\n\r\n`],
  ['space behind', `f \r\n${BODY}\r\n0\r\n\r\n`], ['no size', `\r\n${BODY}\r\n0\r\n\r\n`], ['less data than the size says', `20\r\n${BODY}\r\n0\r\n\r\n`], ['more', `2\r\n${BODY}\r\n0\r\n\r\n`],
  ['trailers', `f\r\n${BODY}\r\n0\r\nContent-Length: 5\r\nHost: y\r\n\r\n`], ['a trailer that is a request', `f\r\n${BODY}\r\n0\r\n${EVIL}\r\n`], ['no end', `f\r\n${BODY}\r\n0\r\n`], ['CR for an end', `f\r\n${BODY}\r\n0\r\r`],
].map(([name, text]) => [`chunks: ${name}`, head(CHUNKED) + text]);

// Where a request goes: only a path, in one line, with one Host.
const targets = [
  ...['http://x/healthz', 'http://x/api/topics', 'https://x/', 'HTTP://x/healthz', 'x:80', 'x', '*', '', '?', '#', 'healthz', 'xhealthz', '@healthz', ':healthz', 'xapi/topics', 'http:/healthz', 'http:///healthz', '\\healthz', '.healthz',
    '%2fhealthz', '?/healthz', '\xffhealthz', ';healthz'].flatMap(
    (target) => [[`GET ${target}`, `GET ${target} HTTP/1.1\r\nHost: x\r\n\r\n`], [`POST ${target}`, `POST ${target} HTTP/1.1\r\nHost: x\r\n${JSON_TYPE}${LENGTH}\r\n${BODY}`]]),
  ['CONNECT', 'CONNECT x:443 HTTP/1.1\r\nHost: x\r\n\r\n'],
  ['no Host', 'GET /healthz HTTP/1.1\r\n\r\n'], ['two Hosts', 'GET /healthz HTTP/1.1\r\nHost: x\r\nHOST: x\r\n\r\n'],
  ['a folded Host', 'GET /healthz HTTP/1.1\r\nHost:\r\n x\r\n\r\n'],
  ['a tab in the line', 'GET\t/healthz\tHTTP/1.1\r\nHost: x\r\n\r\n'],
  ['CR in the line', 'GET /healthz\r HTTP/1.1\r\nHost: x\r\n\r\n'], ['NUL in the line', 'GET /healthz\0 HTTP/1.1\r\nHost: x\r\n\r\n'],
  ['a version of its own', 'GET /healthz HTTP/1.1x\r\nHost: x\r\n\r\n'], ['HTTP/2.0', 'GET /healthz HTTP/2.0\r\nHost: x\r\n\r\n'], ['http/1.1', 'GET /healthz http/1.1\r\nHost: x\r\n\r\n'], ['HTTP/0.9', 'GET /healthz\r\n\r\n'],
];

async function nothingBehind(w, node, table, { own }) {
  const failures = [];
  await each(table, 8, async ([name, bytes], i) => {
    try {
      const said = await converse(node, bytes + evil(i));
      const got = statuses(said);
      assert.ok(got.length <= 1, `answers ${got}`);
      if (got.length > 0) assert.ok((got[0] >= 400 && got[0] < 500) || (own && got[0] === own), `answer ${got}`);
      assert.equal(await w.store.cmd('EXISTS', `weft:{0}:log:smuggled-${i}`), 0, `what was smuggled is done; answer ${got}`);
    } catch (error) {
      failures.push(`${name}: ${error.message}`);
    }
  });
  assert.deepEqual(failures, []);
}

story(`${smuggling.length} lengths, ${chunks.length} chunks, ${targets.length} targets with a request smuggled behind`, async (w) => {
  const [node] = await w.cluster(1, { node: { set: { http: { request_timeout_ms: 1500 } } } });
  const before = await held(node);
  await undisturbed(w, node, async () => {
    await nothingBehind(w, node, smuggling, {});
    await nothingBehind(w, node, chunks, { own: 201 });
    await nothingBehind(w, node, targets, {});
    // An empty line before a request is an old habit (RFC 9112, 2.2), and harmless.
    assert.deepEqual(statuses(await converse(node, `\r\n${get('/healthz', 'Connection: close\r\n')}`)), [200]);
  }, FEW);
  await heldAsBefore(node, before);
  await serves(w, node);
}, { timeout: 120_000 });

const paths = [
  ...['/healthz/', '//healthz', '/healthz//', '/./healthz', '/x/../healthz', '/x/%2e%2e/healthz', '/%68ealthz', '/HEALTHZ', '/Healthz', '/healthz;a=b', '/healthz%3fa', '/healthz%00', '/healthz%20', '/healthz%2f', '/healthz\\',
    '/\\healthz', '/..;/healthz', '/healthz/..', '/healthz/.', '/healthz#a', '/healthz%23', '/%2fhealthz', '/api/..', '/api/../healthz', '/api/%2e%2e/healthz', '/api/..%2fhealthz', '/api/topics/../../healthz',
    '/index.html', '/app.js/../style.css', '/app.js%00.css', '/app.js;x', '/..', '/../', '/../../../etc/passwd', '/..%2f..%2f..%2fetc/passwd', '/%2e%2e/%2e%2e/etc/passwd', '/%252e%252e/etc/passwd', '/.%2e/etc/passwd',
    '/..\\..\\etc\\passwd', '/%5c..%5cetc', '/%c0%ae%c0%ae/etc/passwd', '/\xc0\xaf..\xc0\xafetc', '/%e0%80%af', '/%uff0e%uff0e/', '/....//....//etc/passwd', '/etc/passwd', '/~root', '/proc/self/environ', '/.git/config', '/style.css/', '/icon.svg%20',
    `/${'a'.repeat(7000)}`, `/${'a/'.repeat(3500)}`, `/${'%41'.repeat(2000)}`, `/${'../'.repeat(2500)}`].map((path) => [path, [400, 404]]),
  [`/${'a'.repeat(9000)}`, [414]],
  ...['/api//topics', '/api/topics/', '/api/TOPICS', '/API/topics', '/api/%74opics', '/api/topics;x', '/api/topics//events', '/api/topics/t/events/', '/api/topics/t//events', '/api/topics/t/%65vents', 
    '/api/topics/..%2fx/events', '/api/topics/t\\x/events', '/api/topics/t;x/events', '/api/topics/t%3bx/events', '/api/topics/t%00/events', '/api/topics/%c0%ae/events', '/api/topics/%/events', '/api/topics/%4/events', '/api/topics/%zz/events',
    '/api/topics/\xe9/events', '/api/topics/t%20/events', '/api/topics/t+x/events', `/api/topics/${'t'.repeat(201)}/events`, `/api/topics/${'%74'.repeat(201)}/events`, '/api/topics/t%2a/events', '/api/topics/*/events'].map((path) => [path, [400, 404]]),
  ['/api/topics/t%2fevents', [400, 404, 405]],
];

story(`${paths.length} spellings of paths: never another route, never a file`, async (w) => {
  const [node] = await w.cluster(1, { node: { set: { http: { request_timeout_ms: 1500 } } } });
  await w.client(node).published('t', [{ type: 'there' }]);
  const keys = await w.store.cmd('KEYS', '*:log:*');
  await undisturbed(w, node, async () => {
    const failures = [];
    await each(paths, 8, async ([path, want]) => {
      for (const method of ['GET', 'POST']) {
        const close = 'Connection: close\r\n';
        const said = await converse(node, method === 'GET' ? get(path, close) : post(path, BODY, close));
        const [status] = statuses(said);
        if (!want.includes(status) || /root:|PATH=/.test(said)) failures.push(`${method} ${path.slice(0, 80)}: ${said.slice(0, 100)}`);
      }
    });
    assert.deepEqual(failures, []);
    // Dots are a topic's name like any other, not a way up.
    for (const name of ['.', '..', '%2e%2e']) {
      assert.deepEqual(statuses(await converse(node, post(`/api/topics/${name}/events`, BODY, 'Connection: close\r\n'))), [201]);
    }
    for (const name of ['.', '..']) keys.push(`weft:{0}:log:${name}`);
    const after = (await w.store.cmd('KEYS', '*:log:*')).filter((key) => !key.endsWith(':steady'));
    assert.deepEqual(after.sort(), keys.sort(), 'something was published');
  }, FEW);
}, { timeout: 120_000 });

story('other protocols, heads without measure, bodies that never come', async (w) => {
  const [node] = await w.cluster(1, { node: { set: { http: { request_timeout_ms: 1500 } } } });
  const before = await held(node);
  const upgrade = (name, extra = '') => `GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: Upgrade, close\r\nUpgrade: ${name}\r\n${extra}\r\n`;
  const lines = (n, value = 'v') => get('/healthz', `Connection: close\r\n${Array.from({ length: n }, (_, i) => `X-${i}: ${value}\r\n`).join('')}`);
  const none = [];
  const table = [
    ['HTTP/2 by preface', preface(), [400, none]],
    ['h2c', upgrade('h2c', 'HTTP2-Settings: AAMAAABkAAQAAP__\r\n').replace('Upgrade, close', 'Upgrade, HTTP2-Settings, close'), [200]],
    ...['h2c', 'h2', 'TLS/1.0', 'websocket', 'WebSocket, h2c', 'connect-ip', 'x'.repeat(5000), ''].map((name) => [`upgrade to ${name.slice(0, 20)}`, upgrade(name), [200]]),
    ['a TLS hello', Buffer.concat([Buffer.from('1603010200010001fc0303', 'hex'), Buffer.alloc(512, 3), Buffer.from('\r\n\r\n')]), [400, none]],
    ['an SSH client', 'SSH-2.0-OpenSSH_9.2\r\n', [400, none]],
    ['Redis', '*1\r\n$8\r\nFLUSHALL\r\n\r\n', [400, none]],
    ['the PROXY protocol', `PROXY TCP4 192.0.2.1 192.0.2.2 1 2\r\n${get('/healthz')}`, [400]],
    ['a head of 300 KB', get('/healthz', `X: ${'a'.repeat(300_000)}\r\n`), [431, none]],
    ['a head of 2 MB', get('/healthz', `X: ${'a'.repeat(2_000_000)}\r\n`), [400, 431, none]],
    ['a head without an end', `GET /healthz HTTP/1.1\r\nHost: x\r\n${'X: y\r\n'.repeat(50)}`, [none]],
    ['90 headers', lines(90), [200]],
    ['10,000 headers', lines(10_000), [400, 431, none]],
    ['90 headers that are long', lines(90, 'v'.repeat(300)), [431, none]],
    ['a request line without an end', `GET /${'a'.repeat(600_000)}`, [400, 414, none]],
    ['1 GB announced', head('Content-Length: 1073741824\r\n'), [413]],
    ['1 GB announced to GET', 'GET /healthz HTTP/1.1\r\nHost: x\r\nContent-Length: 1073741824\r\n\r\n', [413]],
    ['Expect, and never a body', head('Content-Length: 100000\r\nExpect: 100-continue\r\n'), [100, none]],
    ['Expect something else', head('Content-Length: 0\r\nExpect: 200-ok\r\nConnection: close\r\n'), [417]],
    ['Expect, and 1 GB', head('Content-Length: 1073741824\r\nExpect: 100-continue\r\n'), [413]],
    ['a body that stops', `${head('Content-Length: 100\r\n')}{`, [none]],
    ['chunks that stop', `${head(CHUNKED)}5\r\nab`, [none]],
    ['chunks without end', head(CHUNKED) + chunk(' '.repeat(1000)).repeat(1200), [413, none]],
    ['chunks of one byte without end', head(CHUNKED) + '1\r\n \r\n'.repeat(1_100_000), [413, none]],
    ['TRACE', `TRACE /healthz HTTP/1.1\r\nHost: x\r\nX-Secret: s\r\nConnection: close\r\n\r\n`, [405]],
    ['TRACK', `TRACK /api/topics HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n`, [405]],
    ['CONNECT of a path', `CONNECT /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n`, [400, 405, none]],
    ['PRI of a path', `PRI /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n`, [405]],
    ['a long method', `${'A'.repeat(10_000)} /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n`, [400, 405]],
    ['no method', ` /healthz HTTP/1.1\r\nHost: x\r\n\r\n`, [400]],
  ];
  await undisturbed(w, node, async () => {
    const failures = [];
    const rounds = QUICK ? 1 : 3;
    for (let round = 0; round < rounds; round++) {
      await each(table, 8, async ([name, bytes, want]) => {
        const said = await converse(node, bytes).catch((error) => error.message);
        const got = statuses(said);
        const ok = got.length === 0 ? want.includes(none) && said === '' : got.length === 1 && want.includes(got[0]);
        if (!ok || said.startsWith('\0') || /X-Secret/.test(said)) failures.push(`${name}: ${JSON.stringify(said.slice(0, 200))}`);
      });
    }
    assert.deepEqual(failures, []);
    // Many connections, each with all that a head may have, and no more.
    const hoarders = Array.from({ length: QUICK ? 50 : 200 }, () => {
      const socket = dial(node);
      socket.resume();
      socket.write(`GET /healthz HTTP/1.1\r\nHost: x\r\nX: ${'a'.repeat(400_000)}`);
      return socket;
    });
    await Promise.all(hoarders.map((socket) => socket.over));
  }, FEW);
  await heldAsBefore(node, before);
  await serves(w, node);
}, { timeout: 120_000 });
