// What holds at the edges of a WebSocket: a token that comes while something waits, messages without a pause between them, many
// topics, limits of a subject, cookies, and what may be sent before there was an answer.
import assert from 'node:assert/strict';
import { story } from './lib/story.mjs';
import { event, RawHttp } from './lib/http.mjs';
import { bearer, Issuer } from './lib/token.mjs';
import { deadline, sleep, until } from './lib/wait.mjs';
import { frame, TEXT } from './lib/ws.mjs';

const JSON_BODY = { 'content-type': 'application/json' };

function tokenFor(api, stream, token) {
  return api.send('POST', `/api/streams/${stream}/token`, { headers: { ...JSON_BODY, ...bearer(token) }, body: '{}' });
}

// A node that takes tokens, but does not need them for subscribing.
async function open(w, set = {}, anonymous = 'subscribe') {
  const issuer = new Issuer(w.folder);
  const [node] = await w.cluster(1, { node: { set: { auth: { anonymous, jwks: issuer.file }, ...set } } });
  return { issuer, node, api: w.client(node) };
}

story('a token that comes while a message waits for its address\'s limit', async (w) => {
  // So small a bucket is not leased: each message asks Redis.
  const { issuer, node, api } = await open(w, { limits: { api_per_s: 100, api_burst: 10 } });
  const ws = await w.ws(node);
  const { stream } = await ws.subscribe('t');
  assert.equal(await w.store.cmd('CLIENT', 'PAUSE', '60000', 'WRITE'), 'OK');
  ws.send({ op: 'ping', request: 'waits' });
  await until(async () => (await node.metric('weft_ws_messages_total')) === 2, { what: 'the message to be read' });
  const answer = await tokenFor(api, stream, issuer.token({ subscribe: ['*'] })); // its subject has no limit
  assert.equal(answer.status, 200, answer.text);
  assert.equal(await w.store.cmd('CLIENT', 'UNPAUSE'), 'OK');
  assert.equal((await ws.answer('waits')).type, 'weft.pong');
  assert.equal((await ws.ask('ping')).type, 'weft.pong');
});

story('messages that follow one another without a pause are not taken for one that does not end', async (w) => {
  const TIMEOUT_MS = 600;
  const [node] = await w.cluster(1, { node: { set: { http: { request_timeout_ms: TIMEOUT_MS } } } });
  const ws = await w.ws(node);
  const one = (i) => frame(TEXT, JSON.stringify({ op: 'ping', request: `${i}` }));
  let next = one(0);
  ws.raw(next.subarray(0, 9));
  const began = Date.now();
  // Ticks come once a second.
  for (let i = 0; Date.now() - began < TIMEOUT_MS + 3000; i++) {
    const rest = next.subarray(9);
    next = one(i + 1);
    ws.raw(Buffer.concat([rest, next.subarray(0, 9)]));
    await ws.answer(`${i}`);
    await sleep(50);
  }
});

story('streams of a subject are counted also if the token comes later', async (w) => {
  const { issuer, node, api } = await open(w, { limits: { connections_per_subject: 1 } });
  const token = issuer.token({ subscribe: ['*'] });
  const first = await w.ws(node);
  const later = await w.ws(node);
  const stream = await w.follow(node, 'topic=t');
  const { data } = await stream.waitControl('weft.open');
  await first.ok('auth', { token });
  await first.ok('auth', { token }); // it is counted once
  const refused = await later.ask('auth', { token });
  assert.deepEqual([refused.type, refused.code, refused.field], ['weft.error', 'limited', 'token']);
  const told = await tokenFor(api, data.stream, token);
  assert.deepEqual([told.status, told.json.error.code], [429, 'limited'], told.text);
  await assert.rejects(w.ws(node, { headers: bearer(token) }), /handshake: 429/);
  assert.equal(await node.metric('weft_requests_refused_total{reason="subject"}'), 3);
  first.cut();
  await until(async () => (await node.metric('weft_ws_connections')) === 1, { what: 'it to be gone' });
  await later.ok('auth', { token });
});

story('as many topics as are allowed, told whole', async (w) => {
  const { node } = await open(w, { http: { max_topics: 10_000 }, ws: { max_message_bytes: 2_097_152 } }, 'all');
  const api = w.client(node);
  const topics = Array.from({ length: 8000 }, (_, i) => `${'long-name-'.repeat(18)}.${i}`);
  const ws = await w.ws(node);
  const told = await ws.subscribe(topics);
  assert.equal(told.topics.length, topics.length);
  const changed = await ws.ask('topics', { remove: [topics[0]] });
  assert.deepEqual([changed.type, changed.code], ['weft.error', 'invalid'], 'too many to be told in one answer');
  const stream = await w.follow(node, 'topic=t');
  const { data } = await stream.waitControl('weft.open');
  for (let from = 0; from < 600; from += 100) {
    const answer = await api.send('POST', `/api/streams/${data.stream}/topics`, { headers: JSON_BODY, body: JSON.stringify({ add: topics.slice(from, from + 100) }) });
    assert.equal(answer.status, 200, answer.text);
    await stream.until(() => stream.control('weft.topics').at(-1)?.data.topics.length === from + 101, { what: 'all of them' });
  }
  const many = await api.send('POST', `/api/streams/${data.stream}/topics`, { headers: JSON_BODY, body: JSON.stringify({ add: topics.slice(600, 1600) }) });
  assert.deepEqual([many.status, many.json.error.field], [400, 'add'], many.text);
  const stays = await api.get(`/api/streams/${data.stream}`);
  assert.equal(stays.json.topics_total, 601);
});

story('a cookie is not lent to pages that `*` allows', async (w) => {
  const { issuer, node, api } = await open(w, { http: { cors_origins: '*,https://app.example.org' } }, 'none');
  const token = issuer.token({ subscribe: ['t'], publish: ['t'] });
  const headers = (origin) => ({ cookie: `weft_token=${token}`, ...(origin && { origin }) });
  for (const [origin, good] of [['https://evil.example.org', false], ['null', false], ['https://app.example.org', true], [`http://127.0.0.1:${node.port}`, true], [undefined, true]]) {
    const ws = await w.ws(node, { headers: headers(origin) });
    assert.equal((await ws.ask('subscribe', { topics: ['t'] })).type, good ? 'weft.ok' : 'weft.error', `${origin}`);
    const answer = await api.send('POST', '/api/topics/t/events', { headers: { ...JSON_BODY, ...headers(origin) }, body: JSON.stringify(event(1)) });
    assert.equal(answer.status, good ? 201 : 401, `${origin}`);
  }
  const own = await w.ws(node, { headers: { origin: 'https://evil.example.org', ...bearer(token) } });
  await own.subscribe('t');
});

story('who sends much behind the request for a stream is cut at once', async (w) => {
  const [node] = await w.cluster();
  for (const bytes of [20_000, 500_000]) {
    const raw = new RawHttp(node.port);
    await raw.write(`GET /api/events?topic=t HTTP/1.1\r\nHost: x\r\n\r\n${'x'.repeat(bytes)}`);
    await deadline(raw.closed, { what: `the end after ${bytes} bytes` });
    await until(async () => (await node.metric('weft_subscribers')) === 0, { what: 'the stream to end' });
    raw.destroy();
  }
  const ws = w.websocket(node, { behind: Buffer.alloc(2_000_000) });
  await ws.ending();
});
