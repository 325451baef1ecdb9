// Clients that are slow on purpose: heads, bodies, handshakes and WebSocket messages that drip, and readers that ask for much and
// take nothing. All are cut in their time, what they hold is given back, and those who are healthy do not notice.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { story } from './lib/story.mjs';
import { dial, get, held, heldAsBefore, JSON_TYPE, POST, serves } from './lib/abuse.mjs';
import { Certificates } from './lib/certificates.mjs';
import { undisturbed } from './lib/healthy.mjs';
import { deadline, QUICK } from './lib/wait.mjs';
import { closePayload, frame, TEXT } from './lib/ws.mjs';

const MANY = QUICK ? 100 : 300;
const UPGRADE = 'GET /ws HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n';

// A connection that says `begin` and then bytes one by one; over when the node has closed it.
function drip(node, begin, byte, everyMs = 250) {
  const socket = dial(node);
  socket.resume();
  if (begin.length > 0) socket.write(begin);
  const timer = setInterval(() => socket.writable && socket.write(byte), everyMs);
  return socket.over.finally(() => clearInterval(timer));
}

story(`${MANY} clients drip heads and bodies: cut after http.request_timeout_ms`, async (w) => {
  const [node] = await w.cluster(1, { node: { set: { http: { request_timeout_ms: 1500 } } } });
  const before = await held(node);
  await undisturbed(w, node, async () => {
    const kinds = [
      ['', 'G'],
      ['GET /healthz HTTP/1.1\r\nHost: x\r\nX: ', 'a'],
      ['GET /healthz HTTP/1.1\r\nHost: x\r\n', 'X: y\r\n'],
      [`${POST}Host: x\r\n${JSON_TYPE}Content-Length: 100000\r\n\r\n`, ' '],
      [`${POST}Host: x\r\n${JSON_TYPE}Transfer-Encoding: chunked\r\n\r\n`, '1\r\n \r\n'],
      [`${POST}Host: x\r\n${JSON_TYPE}Content-Length: 1048576\r\nExpect: 100-continue\r\n\r\n`, ' '],
    ];
    await deadline(Promise.all(Array.from({ length: MANY }, (_, i) => drip(node, ...kinds[i % kinds.length]))), { what: 'all to be cut', ms: 20_000 });
  });
  await heldAsBefore(node, before);
  await serves(w, node);
}, { timeout: 120_000 });

story(`${MANY} TLS handshakes drip: cut after tls.handshake_timeout_ms`, async (w) => {
  const made = new Certificates(w.folder);
  const ca = readFileSync(await made.authority('ca'), 'utf8');
  const pair = await made.sign('ca', 'node', 'IP:127.0.0.1');
  const [node] = await w.cluster(1, { node: { ca, set: { http: { request_timeout_ms: 1500 }, tls: { ...pair, handshake_timeout_ms: 1500 } } } });
  const before = await held(node);
  const hello = Buffer.concat([Buffer.from('1603010200010001fc0303', 'hex'), Buffer.alloc(60, 7)]);
  await undisturbed(w, node, async () => {
    await deadline(Promise.all(Array.from({ length: MANY }, (_, i) => drip(node, i % 2 ? hello : hello.subarray(0, i % 11), Buffer.from([7])))), { what: 'all to be cut', ms: 20_000 });
  }, { sse: QUICK ? 60 : 300 });
  await heldAsBefore(node, before);
}, { timeout: 120_000 });

// The node has the whole answer in memory until it is taken.
story('readers that ask for a long history and take nothing are cut after http.write_stall_ms', async (w) => {
  const [node] = await w.cluster(1, { node: { set: { http: { write_stall_ms: 1500 } } } });
  const api = w.client(node);
  for (let i = 0; i < 12; i++) {
    await api.published('big', [0, 1, 2].map((k) => ({ type: 'big', payload: { i, k, text: 'x'.repeat(250_000) } })));
  }
  const before = await held(node);
  const readers = QUICK ? 10 : 20;
  const page = get('/api/topics/big/events');
  await undisturbed(w, node, async () => {
    const sockets = Array.from({ length: readers }, (_, i) => {
      const socket = dial(node);
      socket.pause();
      socket.write(i % 2 ? page.repeat(20) : get('/api/events?topic=big&since=earliest', 'Accept: application/json\r\n').repeat(20));
      return socket;
    });
    // A socket that is not read does not see its end: the node's count does.
    await node.metricReaches('weft_connections', (n) => n > before.weft_connections + readers);
    await node.metricReaches('weft_connections_stalled_total', readers, { ms: 30_000 });
    for (const socket of sockets) socket.destroy();
  });
  await heldAsBefore(node, before);
  await serves(w, node);
}, { timeout: 120_000 });

story('a reader of a long history that is only slow gets all of it', async (w) => {
  const [node] = await w.cluster(1, { node: { set: { http: { write_stall_ms: 1000 } } } });
  const api = w.client(node);
  for (let i = 0; i < 4; i++) await api.published('big', [0, 1, 2].map(() => ({ type: 'big', payload: { text: 'x'.repeat(250_000) } })));
  const socket = dial(node);
  let bytes = 0;
  const rounds = QUICK ? 6 : 12;
  socket.write(get('/api/topics/big/events').repeat(rounds - 1) + get('/api/topics/big/events', 'Connection: close\r\n'));
  // In sips, with pauses; of each answer's head the length is read.
  const chunks = [];
  socket.on('data', (data) => {
    bytes += data.length;
    chunks.push(data);
    socket.pause();
    setTimeout(() => socket.resume(), 5);
  });
  await deadline(socket.over, { what: 'all answers', ms: 50_000 });
  const said = Buffer.concat(chunks).toString('latin1');
  const lengths = [...said.matchAll(/content-length: (\d+)/gi)].map((m) => Number(m[1]));
  assert.equal(lengths.length, rounds, `${bytes} bytes`);
  assert.ok(lengths.every((n) => n > 2_000_000 && n === lengths[0]), lengths.join(' '));
  assert.equal(await node.metric('weft_connections_stalled_total'), 0);
}, { timeout: 120_000 });

story('messages of a WebSocket that drip or never end are cut; a steady stream of whole ones is not', async (w) => {
  const [node] = await w.cluster(1, { node: { set: { http: { request_timeout_ms: 1500 } } } });
  const before = await held(node);
  await undisturbed(w, node, async () => {
    const whole = frame(TEXT, '{"op":"ping"}');
    const kinds = [
      [whole.subarray(0, 1), Buffer.alloc(0)],
      [frame(TEXT, '{', { fin: false }), frame(0, ' ', { fin: false })],
      [frame(TEXT, '{', { fin: false }), Buffer.concat([frame(9, 'x'), frame(0, ' ', { fin: false })])],
      [frame(TEXT, ' '.repeat(60_000)).subarray(0, 20), Buffer.from('x')],
      [frame(8, closePayload(1000)).subarray(0, 3), Buffer.alloc(0)],
    ];
    const cut = Array.from({ length: MANY / 4 }, (_, i) => {
      const [begin, more] = kinds[i % kinds.length];
      return drip(node, Buffer.concat([Buffer.from(UPGRADE), begin]), more);
    });
    // Reads hardly ever end where a message does: each ends in the middle of the next one.
    const busy = await w.ws(node, { keep: false });
    const half = whole.length >> 1;
    busy.raw(whole.subarray(0, half));
    const stream = Buffer.concat([whole.subarray(half), whole.subarray(0, half)]);
    const timer = setInterval(() => busy.raw(stream), 50);
    await deadline(Promise.all(cut), { what: 'all to be cut', ms: 30_000 });
    await new Promise((resolve) => setTimeout(resolve, 2500)); // well beyond the limit: nothing announces that it is not applied
    clearInterval(timer);
    assert.equal(busy.ended, undefined, `the busy one was closed: ${busy.closeCode} ${busy.closeReason}`);
    busy.raw(whole.subarray(half));
    await busy.ask('ping');
    busy.cut();
  });
  await heldAsBefore(node, before);
}, { timeout: 120_000 });
