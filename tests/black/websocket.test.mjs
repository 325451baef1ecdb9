// WebSocket: everything that event streams have, several subscriptions on one socket, and publishing on it. Whoever breaks the
// protocol is told by a close code, whoever asks for nonsense by an answer that names the field, and neither costs anybody else
// anything.
import assert from 'node:assert/strict';
import { WebSocket } from 'ws';
import { story } from './lib/story.mjs';
import { event, events } from './lib/http.mjs';
import { deadline, sleep, until } from './lib/wait.mjs';

const ids = (list) => list.map((e) => e.id);
const seq = (id) => Number(id.split('-')[1]);

story('a socket follows a topic; its events are those of an event stream', async (w) => {
  const [node] = await w.cluster();
  const api = w.client(node);
  // A topic that nobody has followed yet: where it stands is asked of Redis, and not known from what has arrived.
  for (const [path, topic] of [['/ws', 't'], ['/api/ws', 'u']]) {
    const [id] = await api.published(topic, event(0));
    const ws = await w.ws(node, { path });
    assert.equal(ws.head.status, 101);
    assert.equal(ws.head.headers['sec-websocket-protocol'], 'weft.v1');
    const open = await ws.subscribe(topic);
    assert.equal(open.cursor, id);
    assert.equal(open.subscription, '');
    assert.equal(open.node, 'a');
    assert.equal(open.heartbeat_ms, 15000);
    assert.deepEqual(open.topics, [topic]);
    assert.match(open.stream, /^a-\d+-\d+-[0-9a-f]{16}$/);
    const sse = await w.follow(node, `topic=${topic}&lastEventId=${id}`);
    const texts = [];
    ws.onEvent = (e, name, text) => texts.push(text);
    const published = await api.published(topic, events(1, 3));
    assert.deepEqual(ids(await ws.take(3)), published);
    await sse.take(3);
    assert.deepEqual(texts, sse.all.filter((e) => e.id && !e.type.startsWith('weft.')).map((e) => e.text), 'byte for byte');
    ws.close(1000, 'bye');
    assert.deepEqual(await ws.ending(), { code: 1000, reason: '' });
  }
  await node.metricReaches('weft_ws_connections', 0);
  assert.equal(await node.metric('weft_ws_opened_total'), 2);
  assert.equal(await node.metric('weft_ws_closed_total{why="client"}'), 2);
});

story('an ordinary client, without a subprotocol and with one', async (w) => {
  const [node] = await w.cluster();
  for (const protocols of [[], ['weft.v1'], ['other', 'weft.v1']]) {
    const client = new WebSocket(`ws://127.0.0.1:${node.port}/ws`, protocols);
    w.atEnd(() => client.terminate());
    const got = [];
    client.on('message', (data) => got.push(JSON.parse(data)));
    await deadline(new Promise((resolve, reject) => client.on('open', resolve).on('error', reject)), { what: 'the socket to open' });
    assert.equal(client.protocol, protocols.length ? 'weft.v1' : '');
    client.send(JSON.stringify({ op: 'subscribe', topics: ['t'] }));
    await until(() => got.some((m) => m.type === 'weft.open'), { what: 'weft.open' });
    client.send(JSON.stringify({ op: 'publish', request: 'p', topic: 't', event: { type: 'a', payload: { text: 'ä€😀'.repeat(20_000) } } }));
    await until(() => got.some((m) => m.id) && got.some((m) => m.request === 'p'), { what: 'event and answer' });
    assert.equal(got.find((m) => m.id).payload.text, 'ä€😀'.repeat(20_000));
    assert.deepEqual(got.find((m) => m.request === 'p').ids, [got.find((m) => m.id).id]);
    const closed = new Promise((resolve) => client.on('close', (code) => resolve(code)));
    client.close(1000);
    assert.equal(await deadline(closed, { what: 'the end' }), 1000);
  }
});

story('what one socket publishes is taken in the order in which it was sent, whatever its topics', async (w) => {
  // One worker, and a Redis that stands still while the requests come: they are one call then.
  const [node] = await w.cluster(1, { node: { env: { WEFT_WORKERS: '1' } } });
  const api = w.client(node);
  const [ws, other] = [await w.ws(node), await w.ws(node)];
  await ws.ok('publish', { topic: 'warm', event: event(0) });
  w.store.program.signal('SIGSTOP');
  const first = api.publish('warm', event(1)); // the call under way
  await node.metricReaches('weft_publish_batches_total', 2);
  const ask = (socket, n) => socket.ask('publish', { topic: n % 3 === 1 ? 'b' : 'a', event: event(n, n % 3 === 1 ? { topics: ['b', 'a'] } : {}) });
  const asked = [ws, other].map((socket) => Array.from({ length: 12 }, (_, n) => ask(socket, n)));
  await node.metricReaches('weft_publish_requests_total', 26);
  w.store.program.signal('SIGCONT');
  for (const answers of await Promise.all(asked.map((list) => Promise.all(list)))) {
    for (const answer of answers) assert.equal(answer.type, 'weft.ok', JSON.stringify(answer));
    const given = answers.map((answer) => seq(answer.ids[0]));
    assert.deepEqual(given, [...given].sort((x, y) => x - y));
  }
  assert.equal((await first).status, 201);
  assert.equal(await node.metric('weft_publish_batches_total'), 3, 'they were one call');
});

story('several subscriptions on one socket, each with its name, its cursor and its end', async (w) => {
  const [node] = await w.cluster(1, { node: { set: { ws: { max_subscriptions: 3 } } } });
  const api = w.client(node);
  const first = await api.published('a', events(1, 3));
  const ws = await w.ws(node);
  await ws.subscribe('a');
  assert.deepEqual((await ws.subscribe(['a', 'b'], { subscription: 'both', cursor: first[0] })).topics, ['a', 'b']);
  const wild = await ws.subscribe('*', { subscription: 'wild', since: 'earliest', types: ['x.*', '*.counted'] });
  assert.equal(wild.cursor, null);
  const [a] = await api.published('a', event(4));
  const [b] = await api.published('b', { type: 'x.y' });
  const [c] = await api.published('c', { type: 'z' });
  const [d] = await api.published('c', { type: 'x.z' });
  await ws.take(3, 'both');
  await ws.take(6, 'wild');
  await ws.take(1, '');
  assert.deepEqual(ids(ws.of.get('')), [a]);
  assert.deepEqual(ids(ws.of.get('both')), [first[1], first[2], a, b].slice(0, ws.of.get('both').length));
  await ws.take(4, 'both');
  assert.deepEqual(ids(ws.of.get('wild')), [...first, a, b, d]);
  assert.ok(!ids(ws.events).includes(c));
  const names = ws.control('weft.open').map((m) => m.stream);
  assert.equal(new Set(names).size, 3);
  assert.equal(await node.metric('weft_subscribers'), 3);

  const twice = await ws.ask('subscribe', { topics: ['x'], subscription: 'both' });
  assert.deepEqual([twice.type, twice.code, twice.field], ['weft.error', 'conflict', 'subscription']);
  const more = await ws.ask('subscribe', { topics: ['x'], subscription: 'more' });
  assert.deepEqual([more.type, more.code, more.field], ['weft.error', 'limited', 'subscription']);
  await ws.ok('unsubscribe', { subscription: 'both' });
  const gone = await ws.ask('unsubscribe', { subscription: 'both' });
  assert.deepEqual([gone.code, gone.field], ['not_found', 'subscription']);
  const count = ws.of.get('both').length;
  const [e] = await api.published('a', event(5));
  await ws.until(() => ids(ws.of.get('wild')).includes(e) && ids(ws.of.get('')).includes(e), { what: 'the event' });
  assert.equal(ws.of.get('both').length, count);
  await ws.subscribe('b', { subscription: 'both', cursor: a }); // the name is free again
  await ws.take(count + 1, 'both');
  assert.equal(ws.of.get('both').at(-1).id, b);
  await ws.ok('unsubscribe');
  assert.equal(await node.metric('weft_subscribers'), 2);
});

story('topics come and go on a subscription that goes on', async (w) => {
  const [node] = await w.cluster();
  const api = w.client(node);
  const ws = await w.ws(node);
  await ws.subscribe(['a', 'b'], { subscription: 's' });
  const [a] = await api.published('a', event(1));
  await ws.take(1);
  assert.deepEqual((await ws.ok('topics', { subscription: 's', add: ['c'], remove: ['b'] })).topics, ['a', 'c']);
  const open = await ws.waitControl('weft.topics');
  assert.deepEqual(open.topics, ['a', 'c']);
  assert.equal(open.cursor, a);
  await api.published('b', event(2));
  const [c] = await api.published('c', event(3));
  const [a2] = await api.published('a', event(4));
  await ws.take(3);
  assert.deepEqual(ids(ws.events), [a, c, a2]);
  for (const [fields, field] of [
    [{ subscription: 's', remove: ['a', 'c'] }, 'remove'], [{ subscription: 's', add: ['x y'] }, 'add'], [{ subscription: 's', add: [7] }, 'add'],
    [{ subscription: 's', remove: 'a' }, 'remove'], [{ add: ['a'] }, 'subscription'],
  ]) {
    const answer = await ws.ask('topics', fields);
    assert.equal(answer.field, field, JSON.stringify(answer));
  }
});

story('a socket resumes on another node, where the last one ended', async (w) => {
  const nodes = await w.cluster(2);
  const api = w.client(nodes[0]);
  const first = await w.ws(nodes[0]);
  await first.subscribe(['t', 'u:*']);
  const all = [];
  for (let n = 0; n < 20; n++) all.push(...(await api.published(n % 3 ? 't' : 'u:1', event(n))));
  await first.take(20);
  first.cut();
  all.push(...(await api.published('t', events(20, 29))));
  for (const k of [0, 10, 19, 25]) {
    const ws = await w.ws(nodes[1]);
    const open = await ws.subscribe(['t', 'u:*'], { cursor: all[k] });
    assert.equal(open.cursor, all[k]);
    await ws.take(29 - k);
    assert.deepEqual(ids(ws.events), all.slice(k + 1));
    assert.deepEqual(ws.control('weft.gap'), []);
  }
});

story('what the log has lost is told, in the same words as on a stream', async (w) => {
  const [node] = await w.cluster(1, {
    redis: { args: ['--stream-node-max-entries', '5'] },
    node: { set: { history: { max_events: 20 }, ring: { events: 1 }, replay: { cache_bytes: 0 } } },
  });
  const api = w.client(node);
  const all = [];
  for (let n = 1; n <= 100; n += 10) all.push(...(await api.published('t', events(n, n + 9))));
  const held = await w.store.ids('t');
  const ws = await w.ws(node);
  for (const name of [undefined, 'named']) {
    await ws.subscribe('t', { cursor: all[0], ...(name && { subscription: name }) });
    await ws.take(held.length, name ?? '');
    assert.deepEqual(ids(ws.of.get(name ?? '')), held);
    assert.deepEqual(ws.control('weft.gap', name ?? ''), [{ type: 'weft.gap', subscription: name ?? '', topic: 't', after: all[0], next: held[0], reason: 'trimmed' }]);
  }
  const order = ws.all.map((m) => m.type);
  assert.ok(order.indexOf('weft.gap') < ws.all.findIndex((m) => m.id), 'before the first event');
});

story('weft.cursor: where a subscription with `since` stands, and that it has passed what is not for it', async (w) => {
  const [node] = await w.cluster(1, { node: { set: { ws: { heartbeat_ms: 1000 } } } });
  const api = w.client(node);
  const [first] = await api.published('t', event(1));
  const socket = await w.ws(node);
  const cursor = (subscription) => socket.all.filter((m) => m.type === 'weft.cursor' && m.subscription === subscription).at(-1)?.cursor;
  await socket.subscribe('t', { subscription: 'past', since: '-0s' });
  await socket.until(() => cursor('past') === first, { what: 'weft.cursor of the one with since' });
  await socket.subscribe('t', { subscription: 'some', types: ['wanted'] });
  const [left] = await api.published('t', event(2));
  await socket.until(() => cursor('some') === left, { what: 'weft.cursor of the one with types' });
  assert.deepEqual(socket.of.get('some'), undefined);
  assert.deepEqual(socket.of.get('past').map((e) => e.id), [left]);
  assert.equal(socket.all.filter((m) => m.type === 'weft.cursor').length, 2);
});

story('publishing: the answers of POST, by the name of the request', async (w) => {
  const [node] = await w.cluster();
  const ws = await w.ws(node);
  await ws.subscribe(['t', 'u']);
  const one = await ws.ok('publish', { topic: 't', event: event(1) });
  assert.equal(one.ids.length, 1);
  const three = await ws.ok('publish', { topic: 't', events: events(2, 4) });
  await ws.take(4);
  assert.deepEqual(ids(ws.events), [...one.ids, ...three.ids]);
  const both = await ws.ok('publish', { topic: 't', event: event(5, { topics: ['t', 'u'] }) });
  assert.equal(both.ids.length, 1);
  await ws.take(5);

  const key = await ws.ok('publish', { topic: 't', event: event(6), key: 'k1' });
  const again = await ws.ok('publish', { topic: 't', event: event(6), key: 'k1' });
  assert.deepEqual([again.ids, again.replayed, key.replayed], [key.ids, true, undefined]);

  const by = (epoch, number) => ({ id: 'importer', epoch, seq: number });
  await ws.ok('publish', { topic: 't', events: events(7, 8), producer: by(1, 0) });
  await ws.ok('publish', { topic: 't', event: event(9), producer: by(1, 2) });
  assert.deepEqual(await ws.ask('publish', { topic: 't', event: event(7), producer: by(1, 0) }).then((m) => [m.type, m.ids, m.duplicate]), ['weft.ok', [], true]);
  const gap = await ws.ask('publish', { topic: 't', event: event(12), producer: by(1, 5) });
  assert.deepEqual([gap.code, gap.field, gap.producer_expected_seq], ['out_of_order', 'producer.seq', 3]);
  await ws.ok('publish', { topic: 't', event: event(10), producer: by(2, 0) });
  const old = await ws.ask('publish', { topic: 't', event: event(11), producer: by(1, 3) });
  assert.deepEqual([old.code, old.field, old.producer_epoch], ['fenced', 'producer.epoch', 2]);
  const few = await ws.ask('publish', { topic: 't', event: event(11), ack: 'replicas:1' });
  assert.deepEqual([few.code, few.replicas], ['replicas', 0]);

  // Without a name the answer has none either.
  ws.send({ op: 'publish', topic: 't', event: event(13) });
  const silent = await ws.until(() => ws.all.find((m) => m.type === 'weft.ok' && m.request === undefined), { what: 'an answer' });
  assert.equal(silent.ids.length, 1);
});

story('requests are pipelined and taken in their order; of those under way there is a bound', async (w) => {
  const [node] = await w.cluster(1, { node: { set: { ws: { max_pending: 16 } } } });
  const ws = await w.ws(node);
  await ws.subscribe('t');
  const N = 400;
  for (let n = 0; n < N; n++) ws.send({ op: 'publish', request: `p${n}`, topic: 't', event: event(n) });
  await ws.until(() => ws.all.filter((m) => /^p\d/.test(m.request)).length === N, { what: 'all answers' });
  const answers = ws.all.filter((m) => /^p\d/.test(m.request));
  assert.equal(new Set(answers.map((m) => m.request)).size, N);
  const taken = answers.filter((m) => m.type === 'weft.ok');
  const busy = answers.filter((m) => m.type === 'weft.error');
  assert.ok(taken.length >= 16);
  assert.deepEqual([...new Set(busy.map((m) => m.code))], busy.length ? ['busy'] : []);
  w.note(`${busy.length} of ${N} were refused as busy`);
  await ws.take(taken.length);
  assert.deepEqual(ws.events.map((e) => e.payload.n), taken.map((m) => Number(m.request.slice(1))).sort((x, y) => x - y));
  assert.equal(await node.metric('weft_ws_busy_total'), busy.length);

  // One at a time nothing is ever refused, however many have been.
  for (let n = 0; n < 50; n++) await ws.ok('publish', { topic: 't', event: event(n) });
});

const longName = 'x'.repeat(65);
const wrong = [
  // message, field, code if it is not `invalid`
  ['', 'message'],
  ['{', 'message'],
  ['nope', 'message'],
  ['[]', 'message'],
  ['7', 'message'],
  ['null', 'message'],
  ['{"op":"ping"} x', 'message'],
  ['{"op":"ping","op":"ping"}', 'message'],
  [`{"op":"ping","x":${'['.repeat(300)}${']'.repeat(300)}}`, 'message'],
  ['{}', 'op'],
  ['{"op":7}', 'op'],
  ['{"op":null}', 'op'],
  ['{"op":""}', 'op'],
  ['{"op":"fly"}', 'op'],
  [{ op: 'ping', request: 7 }, 'request'],
  [{ op: 'ping', request: longName }, 'request'],
  [{ op: 'ping', request: 'a\nb' }, 'request'],
  [{ op: 'ping', more: 1 }, 'more'],
  [{ op: 'subscribe' }, 'topics'],
  [{ op: 'subscribe', topics: 't' }, 'topics'],
  [{ op: 'subscribe', topics: [] }, 'topics'],
  [{ op: 'subscribe', topics: [7] }, 'topics'],
  [{ op: 'subscribe', topics: ['a b'] }, 'topics'],
  [{ op: 'subscribe', topics: ['a*b'] }, 'topics'],
  [{ op: 'subscribe', topics: [''] }, 'topics'],
  [{ op: 'subscribe', topics: ['x'.repeat(201)] }, 'topics'],
  [{ op: 'subscribe', topics: Array.from({ length: 101 }, (_, i) => `t${i}`) }, 'topics'],
  [{ op: 'subscribe', topics: ['t'], types: 'a' }, 'types'],
  [{ op: 'subscribe', topics: ['t'], types: ['a b'] }, 'types'],
  [{ op: 'subscribe', topics: ['t'], types: [{}] }, 'types'],
  [{ op: 'subscribe', topics: ['t'], types: Array(33).fill('a') }, 'types'],
  [{ op: 'subscribe', topics: ['t'], cursor: 'x' }, 'cursor'],
  [{ op: 'subscribe', topics: ['t'], cursor: 7 }, 'cursor'],
  [{ op: 'subscribe', topics: ['t'], cursor: '1-2-3' }, 'cursor'],
  [{ op: 'subscribe', topics: ['t'], since: 'yesterday' }, 'since'],
  [{ op: 'subscribe', topics: ['t'], since: 7 }, 'since'],
  [{ op: 'subscribe', topics: ['t'], slow: 'never' }, 'slow'],
  [{ op: 'subscribe', topics: ['t'], subscription: longName }, 'subscription'],
  [{ op: 'subscribe', topics: ['t'], subscription: 'a b' }, 'subscription'],
  [{ op: 'subscribe', topics: ['t'], subscription: 7 }, 'subscription'],
  [{ op: 'subscribe', topics: ['t'], lastEventId: '1-1' }, 'lastEventId'],
  [{ op: 'unsubscribe' }, 'subscription', 'not_found'],
  [{ op: 'unsubscribe', subscription: 'a"b' }, 'subscription'],
  [{ op: 'unsubscribe', topics: ['t'] }, 'topics'],
  [{ op: 'publish' }, 'topic'],
  [{ op: 'publish', topic: 't' }, 'event'],
  [{ op: 'publish', topic: 't*', event: event(1) }, 'topic'],
  [{ op: 'publish', topic: '', event: event(1) }, 'topic'],
  [{ op: 'publish', topic: 't', event: event(1), events: [event(1)] }, 'event'],
  [{ op: 'publish', topic: 't', event: [event(1)] }, 'event'],
  [{ op: 'publish', topic: 't', events: event(1) }, 'events'],
  [{ op: 'publish', topic: 't', events: [] }, 'events'],
  [{ op: 'publish', topic: 't', event: {} }, 'event.type'],
  [{ op: 'publish', topic: 't', event: { type: 'weft.open' } }, 'event.type'],
  [{ op: 'publish', topic: 't', event: { type: 'a', payload: 7 } }, 'event.payload'],
  [{ op: 'publish', topic: 't', event: { type: 'a', more: 7 } }, 'event.more'],
  [{ op: 'publish', topic: 't', events: [event(1), { type: 7 }] }, 'events[1].type'],
  [{ op: 'publish', topic: 't', events: [event(1), event(2), 3] }, /^events\[2\]/],
  [{ op: 'publish', topic: 't', event: { type: 'a', topics: ['a b'] } }, /^event\.topics/],
  [{ op: 'publish', topic: 't', event: event(1), key: '' }, 'key'],
  [{ op: 'publish', topic: 't', event: event(1), key: 'a b' }, 'key'],
  [{ op: 'publish', topic: 't', event: event(1), key: 7 }, 'key'],
  [{ op: 'publish', topic: 't', event: event(1), ack: 'all' }, 'ack'],
  [{ op: 'publish', topic: 't', event: event(1), ack: 'replicas:17' }, 'ack'],
  [{ op: 'publish', topic: 't', event: event(1), producer: 'me' }, 'producer'],
  [{ op: 'publish', topic: 't', event: event(1), producer: {} }, 'producer.id'],
  [{ op: 'publish', topic: 't', event: event(1), producer: { id: 'a', epoch: 1 } }, 'producer.seq'],
  [{ op: 'publish', topic: 't', event: event(1), producer: { id: 'a b', epoch: 1, seq: 0 } }, 'producer.id'],
  [{ op: 'publish', topic: 't', event: event(1), producer: { id: 'a', epoch: -1, seq: 0 } }, 'producer.epoch'],
  [{ op: 'publish', topic: 't', event: event(1), producer: { id: 'a', epoch: 1, seq: 0.5 } }, 'producer.seq'],
  [{ op: 'publish', topic: 't', event: event(1), producer: { id: 'a', epoch: 1, seq: 0, more: 1 } }, 'producer.more'],
  [{ op: 'publish', topic: 't', event: event(1), producer: { id: 'a', epoch: 1, seq: 0 }, key: 'k' }, 'key'],
  [{ op: 'publish', topic: 't', event: { type: 'a', payload: { pad: 'x'.repeat(300_000) } } }, /^event/, 'too_large'],
  [{ op: 'auth' }, 'token'],
  [{ op: 'auth', token: '' }, 'token'],
  [{ op: 'auth', token: 7 }, 'token'],
];

story('bad input: an answer that names the field, nothing changed, and the socket goes on', async (w) => {
  const [node] = await w.cluster();
  const ws = await w.ws(node);
  for (const [i, [message, field, code = 'invalid']] of wrong.entries()) {
    const before = ws.control('weft.error').length;
    const named = typeof message === 'object' && message.request === undefined;
    ws.send(named ? { ...message, request: `r-${i}` } : message);
    const answer = await ws.until(() => ws.control('weft.error')[before], { what: `an answer to ${JSON.stringify(message).slice(0, 100)}` });
    const text = JSON.stringify([message, answer]).slice(0, 400);
    assert.equal(answer.code, code, text);
    if (typeof field === 'string') assert.equal(answer.field, field, text);
    else assert.match(answer.field, field, text);
    assert.equal(typeof answer.message, 'string', text);
    assert.equal(answer.request, named ? `r-${i}` : undefined, text);
  }
  assert.equal((await ws.ask('ping')).type, 'weft.pong');
  assert.equal(await node.metric('weft_ws_errors_total'), wrong.length);
  assert.equal(await node.metric('weft_subscribers'), 0);
  assert.deepEqual(await w.store.cmd('KEYS', '*log:*'), []);
});

const KEY = 'dGhlIHNhbXBsZSBub25jZQ==';
const handshakes = [
  // what is different, status, field
  [{ headers: { Upgrade: null } }, 426, 'Upgrade'],
  [{ headers: { Upgrade: 'h2c' } }, 426, 'Upgrade'],
  [{ headers: { Connection: null } }, 426, 'Upgrade'],
  [{ headers: { Connection: 'keep-alive' } }, 426, 'Upgrade'],
  [{ headers: { 'Sec-WebSocket-Version': null } }, 426, 'Sec-WebSocket-Version'],
  [{ headers: { 'Sec-WebSocket-Version': '8' } }, 426, 'Sec-WebSocket-Version'],
  [{ headers: { 'Sec-WebSocket-Version': '13, 8' } }, 426, 'Sec-WebSocket-Version'],
  [{ headers: { 'Sec-WebSocket-Key': null } }, 400, 'Sec-WebSocket-Key'],
  [{ key: 'short' }, 400, 'Sec-WebSocket-Key'],
  [{ key: 'dGhlIHNhbXBsZSBub25jZQ=.' }, 400, 'Sec-WebSocket-Key'],
  [{ key: 'dGhlIHNhbXBsZSBub25j*Q==' }, 400, 'Sec-WebSocket-Key'],
  [{ protocols: ['weft.v2'] }, 400, 'Sec-WebSocket-Protocol'],
  [{ protocols: ['graphql-ws', 'weft.token.abc'] }, 400, 'Sec-WebSocket-Protocol'],
  [{ headers: { Origin: 'https://evil.example' } }, 403, 'Origin'],
  [{ headers: { Origin: 'null' } }, 403, 'Origin'],
  [{ headers: { Origin: '' } }, 403, 'Origin'],
  [{ path: '/ws?topic=t' }, 400, 'topic'],
  [{ path: '/ws', headers: { 'Content-Length': '2' }, behind: 'ab' }, 400, undefined],
];

story('a handshake that is wrong is a problem, as any request', async (w) => {
  const [node] = await w.cluster();
  for (const [options, status, field] of handshakes) {
    const ws = w.websocket(node, { key: KEY, ...options });
    await assert.rejects(ws.open(), new RegExp(`handshake: ${status}`), JSON.stringify(options));
    assert.match(ws.head.headers['content-type'], /problem/);
    await ws.until(() => ws.input.toString().endsWith('}}'), { what: 'the problem' });
    const problem = JSON.parse(ws.input);
    assert.equal(problem.status, status);
    assert.equal(problem.error.field, field, JSON.stringify(options));
    if (field === 'Sec-WebSocket-Version') assert.equal(ws.head.headers['sec-websocket-version'], '13');
    if (status === 426 && field === 'Upgrade') assert.equal(ws.head.headers.upgrade, 'websocket');
    ws.cut();
  }
  assert.equal((await w.client(node).send('POST', '/ws')).status, 405);
  assert.equal(await node.metric('weft_ws_refused_total{reason="origin"}'), 3);
  assert.equal(await node.metric('weft_ws_refused_total{reason="handshake"}'), handshakes.length - 3);
  assert.equal(await node.metric('weft_ws_connections'), 0);
});

story('the accepted handshake, and pages that may', async (w) => {
  const [node] = await w.cluster(1, { node: { set: { http: { cors_origins: 'https://app.example.org' } } } });
  const own = { Origin: `http://127.0.0.1:${node.port}` };
  for (const headers of [{}, own, { Origin: 'https://app.example.org' }, { Connection: 'keep-alive, Upgrade' }, { Upgrade: 'WebSocket' }]) {
    const ws = await w.ws(node, { key: KEY, headers });
    assert.equal(ws.head.headers['sec-websocket-accept'], 's3pPLMBiTxaQ9kYGzzhZRbK+xOo='); // the RFC's example
    assert.equal(ws.head.headers.upgrade.toLowerCase(), 'websocket');
    assert.equal(ws.head.headers.connection.toLowerCase(), 'upgrade');
    assert.equal(ws.head.headers['sec-websocket-extensions'], undefined);
    ws.close();
    await ws.ending();
  }
  await assert.rejects(w.ws(node, { headers: { Origin: 'https://app.example.org.evil.example' } }), /403/);
  const any = await w.node({ set: { http: { cors_origins: '*' } } });
  await w.ws(any, { headers: { Origin: 'https://whoever.example' } });
  // With no protocol offered none is chosen; frames right behind the request are read.
  const eager = await w.ws(any, { protocols: [], behind: Buffer.from([0x89, 0x81, 1, 2, 3, 4, 0x79]) });
  assert.equal(eager.head.headers['sec-websocket-protocol'], undefined);
  await eager.until(() => eager.pongs.length === 1, { what: 'the pong' });
  assert.deepEqual(eager.pongs, ['x']);
});
