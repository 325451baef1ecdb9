// The frames of WebSocket, byte for byte: whoever breaks RFC 6455 is closed with its code, however the bytes are cut, and noise of
// any sort costs nobody else anything.
import assert from 'node:assert/strict';
import { story } from './lib/story.mjs';
import { event, events } from './lib/http.mjs';
import { QUICK, sleep, until } from './lib/wait.mjs';
import { BINARY, CLOSE, closePayload, frame, PING, PONG, TEXT } from './lib/ws.mjs';

const PING_OP = '{"op":"ping","request":"p"}';
const close = (code, reason) => frame(CLOSE, closePayload(code, reason));

const broken = [
  // name, bytes, close code
  ['not masked', frame(TEXT, PING_OP, { mask: false }), 1002],
  ['a reserved bit', frame(TEXT, PING_OP, { rsv: 4 }), 1002],
  ['another one', frame(TEXT, PING_OP, { rsv: 1 }), 1002],
  ['binary', frame(BINARY, PING_OP), 1003],
  ['opcode 3', frame(3, ''), 1002],
  ['opcode 11', frame(11, ''), 1002],
  ['a continuation of nothing', frame(0, 'x'), 1002],
  ['a text inside a text', Buffer.concat([frame(TEXT, '{', { fin: false }), frame(TEXT, '}')]), 1002],
  ['a ping in two', frame(PING, 'x', { fin: false }), 1002],
  ['a ping of 126 bytes', frame(PING, 'x'.repeat(126)), 1002],
  ['a length of 16 bits for 5', frame(TEXT, 'hello', { length: 16 }), 1002],
  ['a length of 64 bits for 5', frame(TEXT, 'hello', { length: 64 }), 1002],
  ['invalid UTF-8', frame(TEXT, Buffer.from([0x22, 0xff, 0x22])), 1007],
  ['UTF-8 that is cut off', frame(TEXT, Buffer.from([0xc3])), 1007],
  ['a surrogate', frame(TEXT, Buffer.from([0xed, 0xa0, 0x80])), 1007],
  ['invalid UTF-8 over two frames', Buffer.concat([frame(TEXT, Buffer.from([0xe2]), { fin: false }), frame(0, Buffer.from([0x82, 0x28]))]), 1007],
  ['a message too long by one', frame(TEXT, 'x'.repeat(2049)), 1009],
  ['a message too long in pieces', Buffer.concat([frame(TEXT, 'x'.repeat(2000), { fin: false }), frame(0, 'x'.repeat(49))]), 1009],
  ['half a close code', frame(CLOSE, 'x'), 1002],
  ['close code 999', close(999), 1002],
  ['close code 1005', close(1005), 1002],
  ['close code 1006', close(1006), 1002],
  ['close code 1015', close(1015), 1002],
  ['close code 2999', close(2999), 1002],
  ['close code 5000', close(5000), 1002],
  ['a close reason that is not UTF-8', frame(CLOSE, Buffer.from([3, 232, 0xff])), 1007],
];

const LIMITED = { node: { set: { ws: { max_message_bytes: 2048 } } } };

story('whatever breaks the protocol has its close code, whole or byte by byte', async (w) => {
  const [node] = await w.cluster(1, LIMITED);
  for (const [name, bytes, code] of broken) {
    for (const piece of [bytes.length, 1]) {
      const ws = await w.ws(node);
      assert.equal((await ws.ask('ping')).type, 'weft.pong');
      if (piece === 1 && bytes.length < 200) {
        for (const byte of bytes) ws.raw(Buffer.from([byte]));
      } else {
        ws.raw(bytes);
      }
      const end = await ws.ending();
      assert.equal(end.code, code, `${name}: ${JSON.stringify(end)}`);
      assert.ok(end.reason.length > 0, name);
    }
  }
  assert.equal(await node.metric('weft_ws_closed_total{why="protocol"}'), 2 * broken.length);
  await node.metricReaches('weft_ws_connections', 0);
});

story('a close is answered with its own code, and the server ends the connection', async (w) => {
  const [node] = await w.cluster();
  for (const [bytes, code] of [[close(1000, 'bye'), 1000], [close(1001), 1001], [close(3000), 3000], [close(4999), 4999], [frame(CLOSE, ''), 1005]]) {
    const ws = await w.ws(node);
    ws.saidClose = true;
    ws.raw(Buffer.concat([bytes, frame(TEXT, PING_OP)])); // what follows does not count
    assert.equal((await ws.ending()).code, code);
    assert.deepEqual(ws.all, []);
  }
});

story('messages in pieces, with control frames between them', async (w) => {
  const [node] = await w.cluster();
  const ws = await w.ws(node);
  const parts = [...PING_OP].map((c, i) => frame(i === 0 ? TEXT : 0, c, { fin: i === PING_OP.length - 1 }));
  const between = parts.flatMap((part, i) => (i % 5 === 2 ? [part, frame(PING, `p${i}`), frame(PONG, 'unasked')] : [part]));
  ws.raw(Buffer.concat(between));
  await ws.answer('p');
  const pings = parts.map((_, i) => i).filter((i) => i % 5 === 2 && i < parts.length);
  assert.deepEqual(ws.pongs, pings.map((i) => `p${i}`));

  // Byte by byte, and empty frames.
  ws.all.length = 0;
  for (const byte of Buffer.concat([frame(TEXT, '', { fin: false }), ...parts.slice(1).length ? [frame(0, '', { fin: false })] : [], frame(0, PING_OP)])) ws.raw(Buffer.from([byte]));
  await ws.answer('p');

  // Many at once.
  ws.all.length = 0;
  const N = 5000;
  ws.raw(Buffer.concat(Array.from({ length: N }, (_, i) => frame(TEXT, `{"op":"ping","request":"${i}"}`))));
  await ws.until(() => ws.all.length === N, { what: 'all answers' });
  assert.deepEqual(ws.all.map((m) => Number(m.request)), Array.from({ length: N }, (_, i) => i));
});

story('a ping comes back with what was in it', async (w) => {
  const [node] = await w.cluster();
  const ws = await w.ws(node);
  for (const text of ['', 'x', 'x'.repeat(125), Buffer.from([0, 255, 128]).toString('latin1')]) {
    const before = ws.pongs.length;
    ws.frame(PING, Buffer.from(text, 'latin1'));
    await ws.until(() => ws.pongs.length > before, { what: 'a pong' });
    assert.equal(ws.pongs.at(-1), Buffer.from(text, 'latin1').toString());
  }
});

story('a client that is silent is asked, and cut if it stays so', async (w) => {
  const [node] = await w.cluster(1, { node: { set: { ws: { heartbeat_ms: 500, pong_ms: 1000 } } } });
  const alive = await w.ws(node);
  const dead = await w.ws(node);
  dead.answerPings = false;
  assert.deepEqual(await dead.ending(), { code: 4408, reason: 'no answer to a ping' });
  assert.ok(dead.pings >= 1);
  await alive.until(() => alive.pings >= 3, { what: 'three pings' });
  assert.equal((await alive.ask('ping')).type, 'weft.pong');
  assert.equal(await node.metric('weft_ws_closed_total{why="policy"}'), 1);
});

story('a message that never ends does not wait for ever', async (w) => {
  const [node] = await w.cluster(1, { node: { set: { http: { request_timeout_ms: 1000 } } } });
  const ws = await w.ws(node);
  ws.raw(frame(TEXT, 'x'.repeat(1000)).subarray(0, 500));
  const timer = setInterval(() => ws.frame(PING, ''), 50); // inside a frame these are payload
  try {
    const end = await ws.ending();
    assert.ok([4408, 1007].includes(end.code), JSON.stringify(end));
  } finally {
    clearInterval(timer);
  }
  const other = await w.ws(node);
  other.raw(frame(TEXT, '{', { fin: false }));
  const pinging = setInterval(() => other.frame(PING, ''), 50);
  try {
    assert.equal((await other.ending()).code, 4408);
  } finally {
    clearInterval(pinging);
  }
});

story('a client that is gone without a word is noticed', async (w) => {
  const [node] = await w.cluster();
  const ws = await w.ws(node);
  await ws.subscribe('t');
  ws.cut();
  await node.metricReaches('weft_ws_connections', 0);
  assert.equal(await node.metric('weft_subscribers'), 0);
  assert.equal(await node.metric('weft_ws_closed_total{why="gone"}'), 1);
});

// A frame, or several, of something a client might send.
function message(random) {
  const ops = [
    { op: 'ping', request: 'r' },
    { op: 'subscribe', topics: ['t', 'u*'], subscription: `s${random.below(5)}`, since: '-5m' },
    { op: 'unsubscribe', subscription: `s${random.below(5)}` },
    { op: 'topics', subscription: `s${random.below(5)}`, add: ['v'], remove: ['t'] },
    { op: 'publish', request: 'p', topic: 'noise', event: event(random.below(100)) },
    { op: 'auth', token: 'a.b.c' },
  ];
  const text = Buffer.from(JSON.stringify(random.pick(ops)));
  const kind = random.below(10);
  if (kind === 0) return frame(PING, 'x'.repeat(random.below(126)));
  if (kind === 1) return close(1000 + random.below(20));
  if (kind < 5) {
    const at = random.below(text.length);
    return Buffer.concat([frame(TEXT, text.subarray(0, at), { fin: false }), frame(0, text.subarray(at))]);
  }
  return frame(TEXT, text);
}

function mutate(random, bytes) {
  const list = [...bytes];
  for (let n = random.between(0, 4); n > 0; n--) {
    const at = random.below(list.length + 1);
    const how = random.below(4);
    if (how === 0) list[Math.min(at, list.length - 1)] = random.below(256);
    else if (how === 1) list.splice(at, random.between(1, 8));
    else if (how === 2) list.splice(at, 0, ...Array.from({ length: random.between(1, 8) }, () => random.below(256)));
    else if (list.length > 0) list[Math.min(at, list.length - 1)] ^= 1 << random.below(8);
    if (list.length === 0) list.push(random.below(256));
  }
  return Buffer.from(list);
}

const MUTATIONS = QUICK ? 2000 : 20_000;

story(`${MUTATIONS} frames with something wrong in them`, async (w) => {
  const random = w.random();
  const [node] = await w.cluster();
  const api = w.client(node);
  const witness = await w.ws(node);
  await witness.subscribe('t');
  let sent = 0;
  let published = 0;

  async function noise() {
    while (sent < MUTATIONS) {
      const ws = w.websocket(node);
      ws.answerPings = random.chance(0.5);
      await ws.open();
      const n = random.between(1, 40);
      for (let i = 0; i < n && !ws.ended && ws.closeCode === undefined; i++) {
        sent++;
        ws.raw(random.chance(0.3) ? message(random) : mutate(random, message(random)));
        if (random.chance(0.1)) await sleep(0);
      }
      if (random.chance(0.5)) ws.cut();
      else ws.socket.end();
      await ws.closed;
    }
  }

  await Promise.all(Array.from({ length: 16 }, noise));
  published += (await api.published('t', events(1, 10))).length;
  await witness.take(published);
  assert.deepEqual(witness.events.map((e) => e.payload.n), Array.from({ length: 10 }, (_, i) => i + 1));
  await node.metricReaches('weft_ws_connections', 1);
  assert.equal(await node.metric('weft_subscribers'), 1);
  const m = await node.metrics();
  w.note(`${m.weft_ws_opened_total} sockets: ${m['weft_ws_closed_total{why="protocol"}']} broke the protocol, ${m['weft_ws_closed_total{why="client"}']} closed, ${m['weft_ws_closed_total{why="gone"}']} went; ${m.weft_ws_messages_total} messages, ${m.weft_ws_errors_total} errors`);
  await until(() => w.streams.size === 1, { what: 'all to be gone' });
}, { timeout: 300_000 });
