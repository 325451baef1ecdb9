// Following live. A browser opens one stream for several topics, by name or by prefix, filtered by type; it is
// told at once where it stands, then gets every event once, in the order in which Redis took them, over
// HTTP/1.1 and 1.0, and a sign of life when nothing happens.
import assert from 'node:assert/strict';
import { EventSource } from 'eventsource';
import { story } from './lib/story.mjs';
import { event, events } from './lib/http.mjs';
import { deadline } from './lib/wait.mjs';

const seq = (id) => Number(id.split('-')[1]);

story('the head and the beginning: retry, then weft.open with id and cursor', async (w) => {
  const [node] = await w.cluster(1, { node: { set: { sse: { retry_ms: 1500, retry_jitter_ms: 500 } } } });
  const api = w.client(node);
  const [id] = await api.published('t', event(1));
  const stream = await w.follow(node, 'topic=t&topic=repo:*');
  assert.equal(stream.head.version, '1.1');
  assert.match(stream.head.headers['content-type'], /^text\/event-stream/);
  assert.match(stream.head.headers['cache-control'], /no-store|no-cache/);
  assert.equal(stream.head.headers['x-content-type-options'], 'nosniff');
  assert.match(stream.head.headers['transfer-encoding'], /chunked/i);
  assert.equal(stream.head.headers['content-length'], undefined);
  assert.ok(stream.retry >= 1500 && stream.retry <= 2000, `retry: ${stream.retry}`);
  const [open] = stream.all;
  assert.equal(open.type, 'weft.open');
  assert.equal(open.id, id, 'it stands at the newest event');
  assert.equal(open.data.cursor, id);
  assert.equal(open.data.node, 'a');
  assert.equal(open.data.heartbeat_ms, 15000);
  assert.deepEqual([...open.data.topics].sort(), ['repo:*', 't']);
  assert.equal(typeof open.data.stream, 'string');
  const other = await w.follow(node, 'topic=t');
  assert.notEqual(other.all[0].data.stream, open.data.stream);
});

story('with a cursor, the id of weft.open is that cursor', async (w) => {
  const [node] = await w.cluster();
  const ids = await w.client(node).published('t', events(1, 3));
  const stream = await w.follow(node, 'topic=t', { lastEventId: ids[0] });
  assert.equal(stream.all[0].id, ids[0]);
  assert.equal(stream.all[0].data.cursor, ids[0]);
  await stream.take(2);
});

story('on an empty Redis a stream opens, and its cursor is good for a resume', async (w) => {
  const [node] = await w.cluster();
  const api = w.client(node);
  const stream = await w.follow(node, 'topic=t');
  const cursor = stream.all[0].id;
  assert.ok(cursor, 'a cursor even here');
  const ids = await api.published('t', events(1, 2));
  assert.deepEqual((await stream.take(2)).map((e) => e.id), ids);
  const again = await w.follow(node, `topic=t&lastEventId=${cursor}`);
  assert.deepEqual((await again.take(2)).map((e) => e.id), ids);
  assert.deepEqual(again.control('weft.gap'), []);
});

story('an event on the wire: event, id, data, in one JSON object', async (w) => {
  const [node] = await w.cluster();
  const stream = await w.follow(node, 'topic=repo:42');
  const [id] = await w.client(node).published('repo:42', { type: 'task.status_changed', ts: 7, repo_id: '42', payload: { from: 'a', to: 'b' } });
  await stream.take(1);
  const entry = stream.all.at(-1);
  assert.deepEqual(entry.fields, ['event', 'id', 'data']);
  assert.equal(entry.type, 'task.status_changed');
  assert.equal(entry.id, id);
  assert.deepEqual(entry.data, { id, topic: 'repo:42', type: 'task.status_changed', ts: 7, repo_id: '42', payload: { from: 'a', to: 'b' }, node: 'a' });
});

story('named=0: no event line, not even for control events', async (w) => {
  const [node] = await w.cluster();
  const api = w.client(node);
  const stream = w.stream(node, 'topic=t&named=0');
  await stream.until(() => stream.all.length > 0, { what: 'the opening event' });
  await api.published('t', events(1, 3));
  await stream.until(() => stream.all.length === 4, { what: 'three events' });
  for (const entry of stream.all) {
    assert.ok(!entry.fields.includes('event'));
    assert.equal(entry.type, 'message');
  }
  assert.equal(stream.all[0].data.node, 'a');
  assert.deepEqual(stream.all.slice(1).map((e) => e.data.payload.n), [1, 2, 3]);
  assert.deepEqual(stream.all.slice(1).map((e) => e.id), stream.all.slice(1).map((e) => e.data.id));
});

story('several topics: the order of Redis over all of them', async (w) => {
  const [a, b] = await w.cluster(2);
  const clients = [w.client(a), w.client(b)];
  const topics = ['one', 'two', 'three', 'four'];
  const streams = [
    await w.follow(a, 'topic=one&topic=two&topic=three&topic=four'),
    await w.follow(b, 'topic=four&topic=three&topic=two&topic=one'),
    await w.follow(b, 'topic=*'),
    await w.follow(a, 'topic=t*&topic=one&topic=four'),
  ];
  const rounds = 100;
  const acked = [];
  await Promise.all(
    topics.map(async (topic, i) => {
      for (let n = 0; n < rounds; n++) acked.push(...(await clients[i % 2].published(topic, event(n))));
    }),
  );
  acked.sort((x, y) => seq(x) - seq(y));
  for (const stream of streams) {
    const got = await stream.take(rounds * topics.length);
    assert.deepEqual(got.map((e) => e.id), acked);
  }
});

story('wildcards: what begins so, and nothing else', async (w) => {
  const [node] = await w.cluster();
  const api = w.client(node);
  const repos = await w.follow(node, 'topic=repo:*');
  const all = await w.follow(node, 'topic=*');
  const mixed = await w.follow(node, 'topic=repo:4*&topic=repo:42&topic=orders');
  const topics = ['repo:42', 'repo:7', 'repo', 'repos:1', 'orders', 'repo:', 'Repo:42', 'repo:42:logs'];
  const ids = {};
  for (const topic of topics) [ids[topic]] = await api.published(topic, event(0));
  const [end] = await api.published('repo:42', event(1));
  await api.published('orders', event(1));
  assert.deepEqual((await repos.take(5)).map((e) => e.topic), ['repo:42', 'repo:7', 'repo:', 'repo:42:logs', 'repo:42']);
  assert.equal(repos.events[4].id, end);
  assert.deepEqual((await mixed.take(5)).map((e) => e.topic), ['repo:42', 'orders', 'repo:42:logs', 'repo:42', 'orders']);
  assert.deepEqual((await all.take(10)).map((e) => e.topic), [...topics, 'repo:42', 'orders']);
});

story('a topic that one follows by name is not lost to those who follow it by pattern', async (w) => {
  const [node] = await w.cluster(1, { node: { args: ['--workers', '1'] } });
  const api = w.client(node);
  const before = await w.follow(node, 'topic=repo:*');
  const named = await w.follow(node, 'topic=repo:42');
  const after = await w.follow(node, 'topic=*');
  for (let n = 1; n <= 5; n++) await api.published(n % 2 ? 'repo:42' : 'repo:7', event(n));
  assert.deepEqual((await named.take(3)).map((e) => e.payload.n), [1, 3, 5]);
  assert.deepEqual((await after.take(5)).map((e) => e.payload.n), [1, 2, 3, 4, 5]);
  assert.deepEqual((await before.take(5)).map((e) => e.payload.n), [1, 2, 3, 4, 5]);
});

story('types: globs, comma separated or repeated; the cursor still moves', async (w) => {
  const [node] = await w.cluster();
  const api = w.client(node);
  const tasks = await w.follow(node, 'topic=t&types=task.*,log.append');
  const repeated = await w.follow(node, 'topic=t&types=task.progress&types=*.append');
  const ids = await api.published('t', [
    { type: 'task.progress', payload: { phase: 'a' } }, { type: 'repo.renamed' }, { type: 'log.append', payload: { level: 'info', message: 'm' } },
    { type: 'task.x.y' }, { type: 'tasks' }, { type: 'log.append', payload: { level: 'info', message: 'end' } },
  ]);
  assert.deepEqual((await tasks.take(4)).map((e) => e.id), [ids[0], ids[2], ids[3], ids[5]]);
  assert.deepEqual((await repeated.take(3)).map((e) => e.id), [ids[0], ids[2], ids[5]]);
  const replayed = await w.follow(node, 'topic=t&types=task.*&since=earliest');
  await api.published('t', { type: 'task.end' });
  assert.deepEqual((await replayed.take(3)).map((e) => e.type), ['task.progress', 'task.x.y', 'task.end']);
});

story('since: earliest, an id, a time, a span; and a cursor wins over it', async (w) => {
  const [node] = await w.cluster();
  const api = w.client(node);
  const ids = await api.published('t', events(1, 3));
  // The clock of the ids has to move on, so that a time can stand between.
  let later;
  do [later] = await api.published('t', event(4));
  while (later.split('-')[0] === ids[2].split('-')[0]);
  const total = await w.store.cmd('XLEN', 'weft:{0}:log:t');
  const laterMs = later.split('-')[0];
  for (const [query, options, first] of [
    ['since=earliest', {}, ids[0]],
    [`since=${ids[1]}`, {}, ids[2]],
    [`since=${laterMs}`, {}, later],
    ['since=-1h', {}, ids[0]],
    ['since=0', {}, ids[0]],
    ['since=earliest', { lastEventId: ids[0] }, ids[1]],
    [`since=earliest&lastEventId=${ids[1]}`, {}, ids[2]],
    [`lastEventId=${ids[0]}`, { lastEventId: ids[1] }, ids[2]],
  ]) {
    const stream = await w.follow(node, `topic=t&${query}`, options);
    await stream.take(1);
    assert.equal(stream.events[0].id, first, `${query} ${JSON.stringify(options)}`);
    await stream.until(() => stream.events.at(-1)?.id === later, { what: 'the newest event' });
    assert.deepEqual(stream.control('weft.gap'), []);
    stream.cut();
  }
  assert.ok(total >= 4);
  // Nothing lies after now: only what comes.
  const now = await w.follow(node, 'topic=t');
  const [next] = await api.published('t', event(5));
  assert.equal((await now.take(1))[0].id, next);
});

// Who has no id yet would ask again for `-5m`, which is later then, and what came while it was cut would be missing.
story('since: where the stream stands is told before its first event', async (w) => {
  const nodes = await w.cluster(2);
  const api = w.client(nodes[0]);
  const [before] = await api.published('t', event(1));
  for (const query of ['since=-0s', 'since=9999999999999', 'since=earliest&types=no.*', 'since=earliest&topic=other*']) {
    const topic = query.includes('topic=') ? '' : '&topic=t';
    const stream = await w.follow(nodes[0], query + topic);
    await stream.until(() => stream.lastId !== '', { what: 'an id' });
    assert.equal(stream.lastId, before, query);
    assert.deepEqual(stream.all.map((e) => e.type), ['weft.open'], 'nothing but its id was sent');
    stream.cut();
  }
  const stream = await w.follow(nodes[0], 'topic=t&since=-0s');
  await stream.until(() => stream.lastId !== '', { what: 'an id' });
  stream.cut();
  const [missed] = await api.published('t', event(2));
  const again = await w.follow(nodes[1], 'topic=t&since=-0s', { lastEventId: stream.lastId });
  await again.take(1);
  assert.deepEqual(again.events.map((e) => e.id), [missed]);
  const replayed = await w.follow(nodes[0], 'topic=t&since=earliest');
  await replayed.take(2);
  assert.equal(replayed.lastId, missed);
});

story('types: with a heartbeat the cursor is told that has passed what was left out, so that nobody is told that it is gone', async (w) => {
  const nodes = await w.cluster(2, { node: { set: { sse: { heartbeat_ms: 100 }, ring: { events: 1 }, replay: { cache_bytes: 0 } } } });
  const api = w.client(nodes[0]);
  const stream = await w.follow(nodes[0], 'topic=t&types=wanted');
  const opened = stream.lastId;
  const left = await api.published('t', [{ type: 'other' }, { type: 'other' }]);
  await stream.until(() => stream.lastId === left[1], { what: 'the id of the last event that was left out' });
  assert.notEqual(stream.lastId, opened);
  assert.deepEqual(stream.all.map((e) => e.type), ['weft.open']);
  const comments = stream.parser.comments;
  await stream.until(() => stream.parser.comments > comments, { what: 'a comment: once is enough' });
  stream.cut();
  await w.store.cmd('XTRIM', 'weft:{0}:log:t', 'MAXLEN', '=', '0');
  const [wanted] = await api.published('t', { type: 'wanted' });
  const again = await w.follow(nodes[1], 'topic=t&types=wanted', { lastEventId: stream.lastId });
  await again.take(1);
  assert.deepEqual(again.all.map((e) => e.type), ['weft.open', 'wanted']);
  assert.equal(again.lastId, wanted);
});

story('HTTP/1.0: the same events, ended by the end of the connection', async (w) => {
  const [node] = await w.cluster();
  const api = w.client(node);
  await api.published('t', events(1, 3));
  const stream = await w.follow(node, 'topic=t&since=earliest', { http: '1.0' });
  assert.equal(stream.head.headers['transfer-encoding'], undefined);
  assert.equal(stream.head.headers['content-length'], undefined);
  await api.published('t', events(4, 6));
  assert.deepEqual((await stream.take(6)).map((e) => e.payload.n), [1, 2, 3, 4, 5, 6]);
});

story('Accept: what means SSE and what means polling', async (w) => {
  const [node] = await w.cluster();
  for (const accept of ['text/event-stream', '*/*', null, 'text/*', 'text/event-stream, */*;q=0.1', 'TEXT/Event-Stream', 'text/event-stream;q=0.9, text/html;q=0.1']) {
    const stream = w.stream(node, 'topic=t', { accept });
    await stream.answered();
    assert.match(stream.head.headers['content-type'], /^text\/event-stream/, `Accept: ${accept}`);
    stream.cut();
  }
  for (const accept of ['application/json', 'application/json, text/plain;q=0.5', 'application/*']) {
    const answer = await w.client(node).poll('topic=t', { accept });
    assert.equal(answer.status, 200, `Accept: ${accept}: ${answer.text}`);
    assert.match(answer.headers['content-type'], /^application\/json/);
  }
});

story('heartbeat: a comment on a silent stream, none of it an event', async (w) => {
  const [node] = await w.cluster(1, { node: { set: { sse: { heartbeat_ms: 100 } } } });
  const stream = await w.follow(node, 'topic=t');
  assert.equal(stream.all[0].data.heartbeat_ms, 100);
  await stream.until(() => stream.comments >= 3, { what: 'three heartbeats' });
  assert.deepEqual(stream.events, []);
  const [id] = await w.client(node).published('t', event(1));
  assert.equal((await stream.take(1))[0].id, id);
});

story('the eventsource package gets events by name, and all of them with named=0', async (w) => {
  const [node] = await w.cluster();
  const api = w.client(node);
  const source = new EventSource(`${node.origin}/api/events?topic=t`);
  w.atEnd(() => source.close());
  await deadline(new Promise((resolve) => source.addEventListener('weft.open', resolve, { once: true })), { what: 'weft.open' });
  const arrived = deadline(new Promise((resolve) => source.addEventListener('test.counted', resolve, { once: true })), { what: 'the event' });
  const [id] = await api.published('t', event(1));
  const message = await arrived;
  assert.equal(message.lastEventId, id);
  assert.equal(JSON.parse(message.data).payload.n, 1);

  const unnamed = new EventSource(`${node.origin}/api/events?topic=t&named=0&since=earliest`);
  w.atEnd(() => unnamed.close());
  const seen = await deadline(new Promise((resolve) => {
    unnamed.onmessage = (m) => {
      if (JSON.parse(m.data).id === id) resolve(m);
    };
  }), { what: 'the event by onmessage' });
  assert.equal(seen.lastEventId, id);
});

story('CORS: an allowed origin gets its headers, another one none', async (w) => {
  const [node] = await w.cluster(1, { node: { set: { http: { cors_origins: 'https://app.example.org' } } } });
  const stream = await w.follow(node, 'topic=t', { headers: { Origin: 'https://app.example.org' } });
  assert.equal(stream.head.headers['access-control-allow-origin'], 'https://app.example.org');
  const other = await w.follow(node, 'topic=t', { headers: { Origin: 'https://evil.example.org' } });
  assert.equal(other.head.headers['access-control-allow-origin'], undefined);
  const preflight = await w.client(node).send('OPTIONS', '/api/topics/t/events', {
    headers: { origin: 'https://app.example.org', 'access-control-request-method': 'POST', 'access-control-request-headers': 'content-type,idempotency-key' },
  });
  assert.equal(preflight.status, 204);
  assert.equal(preflight.headers['access-control-allow-origin'], 'https://app.example.org');
  assert.match(String(preflight.headers['access-control-allow-methods']), /POST/);
  assert.match(String(preflight.headers['access-control-allow-headers']), /content-type/i);
  assert.match(String(preflight.headers['access-control-allow-headers']), /idempotency-key/i);
});

story('a publisher that floods one topic does not mix up another', async (w) => {
  const [node] = await w.cluster();
  const api = w.client(node);
  const quiet = await w.follow(node, 'topic=quiet');
  const loud = await w.follow(node, 'topic=loud');
  for (let i = 0; i < 20; i++) {
    await Promise.all([api.published('loud', events(i * 100 + 1, i * 100 + 100)), api.published('quiet', event(i))]);
  }
  assert.deepEqual((await quiet.take(20)).map((e) => e.payload.n), Array.from({ length: 20 }, (_, i) => i));
  assert.deepEqual((await loud.take(2000)).map((e) => e.payload.n), Array.from({ length: 2000 }, (_, i) => i + 1));
});

story('a pattern that matches more topics than can be read at once: every door says so', async (w) => {
  const [node] = await w.cluster();
  const api = w.client(node);
  const [cursor] = await api.published('before', event(1));
  const names = Array.from({ length: 20_100 }, (_, i) => `many:${i}`);
  for (let from = 0; from < names.length; from += 2000) {
    const parts = [];
    for (let at = from; at < Math.min(from + 2000, names.length); at += 100) parts.push({ type: 'a.b', topics: names.slice(at, at + 100) });
    await api.published('any', parts);
  }
  const poll = await api.poll(`topic=many:*&lastEventId=${cursor}`);
  assert.deepEqual([poll.status, poll.json.error?.code, poll.json.error?.field], [400, 'invalid', 'topic'], poll.text);
  for (const [query, begun] of [['', true], ['&since=earliest', false], ['&named=0', true]]) {
    const stream = w.stream(node, `topic=many:*${query}`, begun ? { lastEventId: cursor } : {});
    await stream.closed;
    assert.ok(stream.complete, stream.summary());
    const last = stream.all.at(-1);
    assert.deepEqual(last.data, { reason: 'too_many_topics', cursor: begun ? cursor : null }, stream.summary());
    assert.equal(last.type, query === '&named=0' ? 'message' : 'weft.closed');
    assert.ok(stream.retry >= 60_000 && stream.retry < 120_000, `an EventSource does not come back at once: ${stream.retry}`);
  }
  const ws = await w.ws(node);
  await ws.ok('subscribe', { topics: ['many:*'], cursor });
  assert.equal((await ws.waitControl('weft.closed')).reason, 'too_many_topics');
  // Fewer, and what comes from now on, can be had.
  assert.equal((await api.poll(`topic=many:1*&lastEventId=${cursor}`)).status, 200);
  const live = await w.follow(node, 'topic=many:*');
  const [id] = await api.published('many:1', event(1));
  assert.equal((await live.take(1))[0].id, id);
});
