// Long polling, for clients that cannot stream: the same URL with Accept: application/json. The first answer gives a
// cursor, each further one the events after it, as soon as there is one; polls in a row lose and repeat nothing.
import assert from 'node:assert/strict';
import { story } from './lib/story.mjs';
import { event, events } from './lib/http.mjs';
import { sleep, until } from './lib/wait.mjs';

const seq = (id) => Number(id?.split('-')[1]);

story('without a cursor: at once, nothing, and where now is', async (w) => {
  const [node] = await w.cluster();
  const api = w.client(node);
  const [id] = await api.published('t', event(1));
  const started = Date.now();
  const answer = await api.poll('topic=t');
  assert.ok(Date.now() - started < 5000, 'it does not wait');
  assert.equal(answer.status, 200);
  assert.equal(answer.headers['cache-control'], 'no-store');
  assert.deepEqual(answer.json, { events: [], cursor: id, gaps: [] });
});

story('with a cursor: what came after it, in order, up to limit', async (w) => {
  const nodes = await w.cluster(2);
  const api = w.client(nodes[0]);
  const ids = await api.published('t', events(1, 250));
  let cursor = ids[0];
  const got = [];
  for (const limit of [undefined, 50, 1000]) {
    const answer = await w.client(nodes[1]).poll(`topic=t&lastEventId=${cursor}${limit ? `&limit=${limit}` : ''}`);
    assert.ok(answer.json.events.length <= (limit ?? 100));
    got.push(...answer.json.events.map((e) => e.id));
    assert.equal(answer.json.cursor, got.at(-1));
    cursor = answer.json.cursor;
  }
  assert.deepEqual(got, ids.slice(1));
  const byHeader = await api.poll('topic=t', { 'last-event-id': ids[247] });
  assert.deepEqual(byHeader.json.events.map((e) => e.id), ids.slice(248));
});

story('it waits for the first event, and answers as soon as it is there', async (w) => {
  const [a, b] = await w.cluster(2);
  const api = w.client(a);
  const { cursor } = (await api.poll('topic=t')).json;
  const waiting = api.poll(`topic=t&lastEventId=${cursor}&wait_ms=20000`);
  await a.metricReaches('weft_subscribers', 1);
  const [id] = await w.client(b).published('t', event(1));
  const answer = await waiting;
  assert.deepEqual(answer.json.events.map((e) => e.id), [id]);
  assert.deepEqual(answer.json.events[0], { ...answer.json.events[0], topic: 't', type: 'test.counted', payload: { n: 1 }, node: 'b' });
  assert.equal(answer.json.cursor, id);
});

story('nothing comes: empty after wait_ms, with a cursor that is good for the next poll', async (w) => {
  const [node] = await w.cluster();
  const api = w.client(node);
  const [id] = await api.published('t', event(1));
  const started = Date.now();
  const answer = await api.poll(`topic=t&lastEventId=${id}&wait_ms=300`);
  const took = Date.now() - started;
  assert.ok(took >= 290, `${took} ms`);
  assert.deepEqual(answer.json.events, []);
  const [next] = await api.published('t', event(2));
  const again = await api.poll(`topic=t&lastEventId=${answer.json.cursor}&wait_ms=300`);
  assert.deepEqual(again.json.events.map((e) => e.id), [next]);
  const atOnce = await api.poll(`topic=t&lastEventId=${next}&wait_ms=0`);
  assert.deepEqual(atOnce.json.events, []);
});

story('types, wildcards and since mean the same as on a stream', async (w) => {
  const [node] = await w.cluster();
  const api = w.client(node);
  const ids = [];
  for (const [topic, type] of [['repo:1', 'a.x'], ['repo:2', 'b.x'], ['orders', 'a.x'], ['repo:3', 'a.y']]) {
    ids.push(...(await api.published(topic, { type })));
  }
  const filtered = await api.poll('topic=repo:*&types=a.*&since=earliest');
  assert.deepEqual(filtered.json.events.map((e) => e.id), [ids[0], ids[3]]);
  const both = await api.poll('topic=orders&topic=repo:*&since=-1h');
  assert.deepEqual(both.json.events.map((e) => e.id), ids);
});

story('since: more than one answer has, and the next polls go on with its cursor', async (w) => {
  const [node] = await w.cluster();
  const api = w.client(node);
  const sent = Array.from({ length: 500 }, (_, i) => ({ type: i % 3 === 0 ? 'a.x' : 'b.x', payload: { n: i } }));
  const ids = await api.published('t', sent);
  for (const [query, wanted] of [['since=earliest', ids], [`since=${ids[9]}`, ids.slice(10)], ['since=-1h&types=a.*', ids.filter((_, i) => i % 3 === 0)]]) {
    const got = [];
    let from = query;
    while (got.length < wanted.length) {
      const answer = await api.poll(`topic=t&${from}&wait_ms=0&limit=70`);
      got.push(...answer.json.events.map((e) => e.id));
      assert.ok(seq(answer.json.cursor) >= seq(got.at(-1)), `${query}: ${answer.json.cursor} after ${got.at(-1)}`);
      from = `${query.replace(/^since=[^&]*&?/, '')}&lastEventId=${answer.json.cursor}`;
    }
    assert.deepEqual(got, wanted, query);
  }
});

story('polls in a row over both nodes while others publish: every event once, in order', async (w) => {
  const nodes = await w.cluster(2);
  const clients = nodes.map((node) => w.client(node));
  let { cursor } = (await clients[0].poll('topic=t&topic=u')).json;
  const total = 600;
  const publishing = (async () => {
    for (let n = 1; n <= total; n += 3) await clients[n % 2].published(n % 5 ? 't' : 'u', events(n, n + 2));
  })();
  publishing.catch(() => {}); // awaited below
  const got = [];
  for (let turn = 0; got.length < total; turn++) {
    const answer = await clients[turn % 2].poll(`topic=t&topic=u&lastEventId=${cursor}&limit=7&wait_ms=5000`);
    assert.equal(answer.status, 200, answer.text);
    assert.deepEqual(answer.json.gaps, []);
    got.push(...answer.json.events.map((e) => e.payload.n));
    cursor = answer.json.cursor;
  }
  await publishing;
  assert.deepEqual(got, Array.from({ length: total }, (_, i) => i + 1));
});

story('a client that goes away while it waits leaves nothing behind', async (w) => {
  const [node] = await w.cluster();
  const api = w.client(node);
  const [id] = await api.published('t', event(1));
  const waiting = Array.from({ length: 5 }, () => w.stream(node, `topic=t&lastEventId=${id}&wait_ms=20000`, { accept: 'application/json' }));
  await node.metricReaches('weft_subscribers', 5);
  for (const stream of waiting) stream.cut();
  await node.metricReaches('weft_subscribers', 0);
});

story('the connection is kept alive from one poll to the next', async (w) => {
  const [node] = await w.cluster();
  const api = w.client(node);
  const before = await node.metric('weft_connections_accepted_total');
  let { cursor } = (await api.poll('topic=t')).json;
  for (let n = 0; n < 10; n++) ({ cursor } = (await api.poll(`topic=t&lastEventId=${cursor}&wait_ms=10`)).json);
  const after = await node.metric('weft_connections_accepted_total');
  assert.ok(after - before <= 4, `${after - before} connections for eleven polls`);
});

story('no time for events is time enough to learn where now is', async (w) => {
  const [node] = await w.cluster();
  const api = w.client(node);
  const [id] = await api.published('old', event(1));
  w.store.program.signal('SIGSTOP');
  const poll = api.poll('topic=old&wait_ms=0');
  await sleep(500); // its time is over by some ticks of the worker
  w.store.program.signal('SIGCONT');
  const answer = await poll;
  assert.deepEqual([answer.status, answer.json.cursor, answer.json.events], [200, id, []], answer.text);
});

story('its time is over before it is known where now is: try again, and no cursor from which everything would come', async (w) => {
  const [node] = await w.cluster(1, { node: { set: { redis: { command_timeout_ms: 60_000 } } } });
  const api = w.client(node);
  const [id] = await api.published('old', event(1));
  w.store.program.signal('SIGSTOP');
  const answer = await api.poll('topic=old&wait_ms=0');
  w.store.program.signal('SIGCONT');
  assert.deepEqual([answer.status, answer.json.error?.code], [503, 'unavailable'], answer.text);
  assert.ok(Number(answer.headers['retry-after']) >= 1);
  const again = await until(async () => {
    const { status, json } = await api.poll('topic=old&wait_ms=20000');
    return status === 200 ? json : null;
  }, { what: 'an answer' });
  assert.deepEqual(again, { events: [], cursor: id, gaps: [] });
});

story('an answer with thousands of gaps is whole', async (w) => {
  const [node] = await w.cluster();
  const api = w.client(node);
  const [cursor] = await api.published('before', event(1));
  const names = Array.from({ length: 4500 }, (_, i) => `g${i}:`.padEnd(200, 'x'));
  for (let from = 0; from < names.length; from += 1000) {
    const parts = [];
    for (let at = from; at < Math.min(from + 1000, names.length); at += 100) parts.push({ type: 'a.b', topics: names.slice(at, at + 100) });
    for (let round = 0; round < 2; round++) await api.published('any', parts);
  }
  await w.store.cmd('EVAL', "for _, k in ipairs(redis.call('KEYS', 'weft:{0}:log:g*')) do redis.call('XTRIM', k, 'MAXLEN', '=', 1) end", '0');
  const answer = await api.poll(`topic=g*&lastEventId=${cursor}`);
  assert.equal(answer.status, 200);
  assert.deepEqual(answer.json.gaps.map((gap) => gap.topic).sort(), [...names].sort());
  assert.ok(answer.text.length > 1_048_576, `${answer.text.length}`);
});
