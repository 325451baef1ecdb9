// Gaps. Retention, or an operator, has removed events that a client has not seen. It is never left in
// the dark: before the first later event it is told weft.gap, with the cursor it came with (after) and the first
// event that is still held (next), and then the stream goes on. And nobody else is told of a gap.
import assert from 'node:assert/strict';
import { story } from './lib/story.mjs';
import { event, events } from './lib/http.mjs';
import { until } from './lib/wait.mjs';

// Small nodes in the streams of Redis, so that `history.max_events` trims nearly exactly.
const TRIMMING = { redis: { args: ['--stream-node-max-entries', '5'] } };
// No memory of the past in the nodes, so that what is told comes from the log.
const FORGETFUL = { ring: { events: 1 }, replay: { cache_bytes: 0 } };

async function firstHeld(w, topic) {
  const [id] = await w.store.ids(topic);
  return id ?? null;
}

// The stream has told one gap, before its first event, and nothing but what is held comes after it.
async function checkGap(w, stream, { topic, after, reason = 'trimmed', held }) {
  await stream.take(held.length);
  assert.deepEqual(stream.events.map((e) => e.id), held);
  const gaps = stream.control('weft.gap');
  assert.deepEqual(gaps.map((g) => g.data), [{ topic, after, next: held[0] ?? null, reason }]);
  assert.ok(!gaps[0].fields.includes('id'), 'a gap does not move the cursor');
  const order = stream.all.map((e) => e.type);
  assert.ok(order.indexOf('weft.gap') < order.findIndex((type) => !type.startsWith('weft.')) || held.length === 0, order.join(' '));
}

story('history.max_events: a cursor older than the log is told, on both nodes', async (w) => {
  const nodes = await w.cluster(2, { ...TRIMMING, node: { set: { history: { max_events: 20 }, ...FORGETFUL } } });
  // A publish trims before it appends; the one sweep that looks at numbers would take more while we count.
  await until(async () => {
    const sweeps = await Promise.all(nodes.map((node) => node.metric('weft_retention_sweeps_total')));
    return sweeps[0] + sweeps[1] > 0;
  }, { what: 'the first sweep' });
  const api = w.client(nodes[0]);
  const ids = [];
  for (let n = 1; n <= 200; n += 10) ids.push(...(await api.published('t', events(n, n + 9))));
  const held = await w.store.ids('t');
  assert.ok(held.length >= 20 && held.length < 60, `${held.length} events are held`);
  const lost = ids.length - held.length;
  for (const node of nodes) {
    // Cursors from the very first event to the last one that was removed, and those that miss nothing.
    for (const k of [0, 1, Math.floor(lost / 2), lost - 2]) {
      const stream = await w.follow(node, 'topic=t', { lastEventId: ids[k] });
      await checkGap(w, stream, { topic: 't', after: ids[k], held });
      stream.cut();
    }
    // The last removed event was seen: what follows it is all there.
    for (const k of [lost - 1, lost, ids.length - 1]) {
      const stream = await w.follow(node, 'topic=t', { lastEventId: ids[k] });
      await stream.take(ids.length - 1 - k);
      assert.deepEqual(stream.events.map((e) => e.id), ids.slice(k + 1));
      assert.deepEqual(stream.control('weft.gap'), []);
      stream.cut();
    }
  }
});

story('after the gap the stream is live', async (w) => {
  const [node] = await w.cluster(1, { ...TRIMMING, node: { set: { history: { max_events: 10 } } } });
  const api = w.client(node);
  const [cursor] = await api.published('t', event(0));
  for (let n = 1; n <= 100; n += 10) await api.published('t', events(n, n + 9));
  const stream = await w.follow(node, 'topic=t', { lastEventId: cursor });
  await stream.waitControl('weft.gap');
  const [next] = await api.published('t', event(101));
  await stream.until(() => stream.events.at(-1)?.id === next, { what: 'the live event' });
  const got = stream.events.map((e) => e.payload.n);
  assert.deepEqual(got, Array.from({ length: got.length }, (_, i) => 102 - got.length + i));
  assert.equal(stream.control('weft.gap').length, 1);
});

story('XTRIM by redis-cli, with several topics: only the trimmed one is named', async (w) => {
  const nodes = await w.cluster(2, { node: { set: FORGETFUL } });
  const api = w.client(nodes[0]);
  const [cursor] = await api.published('start', event(0));
  const left = await api.published('left', events(1, 10));
  const right = await api.published('right', events(1, 10));
  await w.store.cli('XTRIM', 'weft:{0}:log:left', 'MAXLEN', '=', '3');
  for (const query of ['topic=left&topic=right', 'topic=*']) {
    for (const node of nodes) {
      const stream = await w.follow(node, query, { lastEventId: cursor });
      await stream.take(13);
      assert.deepEqual(stream.events.map((e) => e.id), [...left.slice(7), ...right]);
      assert.deepEqual(stream.control('weft.gap').map((g) => g.data), [{ topic: 'left', after: cursor, next: left[7], reason: 'trimmed' }]);
      const kinds = stream.all.map((e) => `${e.type} ${e.data.topic}`);
      assert.ok(kinds.indexOf('weft.gap left') < kinds.indexOf('test.counted left'), 'the gap comes before the first later event of its topic');
      stream.cut();
    }
  }
});

// One topic is long, and what is missing of the others lies behind it: several pages begin before that.
async function trimmedFarBeyond(w) {
  const [node] = await w.cluster(1, { node: { set: FORGETFUL } });
  const api = w.client(node);
  const [cursor] = await api.published('start', event(0));
  const near = [];
  for (let n = 1; n <= 2000; n += 100) near.push(...(await api.published('g:a', events(n, n + 99))));
  const [b] = (await api.published('g:b', events(1, 4))).slice(3);
  const [c] = (await api.published('g:c', events(1, 4))).slice(3);
  for (const [topic, n] of [['a', 1990], ['b', 1], ['c', 1]]) await w.store.cli('XTRIM', `weft:{0}:log:g:${topic}`, 'MAXLEN', '=', String(n));
  return { node, api, cursor, ids: [...near.slice(10), b, c], gaps: [['g:a', near[10]], ['g:b', b], ['g:c', c]] };
}

story('each gap is told once, however far away its end is, and whatever other gaps end before', async (w) => {
  const { node, cursor, ids, gaps } = await trimmedFarBeyond(w);
  for (const query of ['topic=g:a&topic=g:b&topic=g:c', 'topic=g:*']) {
    const stream = await w.follow(node, query, { lastEventId: cursor });
    await stream.take(ids.length, { ms: 20_000 });
    assert.deepEqual(stream.events.map((e) => e.id), ids);
    assert.deepEqual(stream.control('weft.gap').map((g) => [g.data.topic, g.data.next]).sort(), gaps);
    assert.ok(stream.control('weft.gap').every((g) => g.data.after === cursor));
    stream.cut();
  }
  const ws = await w.ws(node);
  await ws.subscribe('g:*', { cursor });
  await ws.take(ids.length, undefined, { ms: 20_000 });
  assert.deepEqual(ws.control('weft.gap').map((g) => [g.topic, g.next]).sort(), gaps);
  assert.ok((await node.metric('weft_replay_reads_total')) > 12, 'it took several pages');
});

story('a hole in the middle of the log (XDEL) is found by the chain', async (w) => {
  const [node] = await w.cluster(1, { node: { set: FORGETFUL } });
  const api = w.client(node);
  const ids = await api.published('t', events(1, 10));
  await w.store.cli('XDEL', 'weft:{0}:log:t', ids[4], ids[5]);
  const restarted = await w.node({ set: FORGETFUL });
  const stream = await w.follow(restarted, 'topic=t', { lastEventId: ids[1] });
  await stream.take(6);
  assert.deepEqual(stream.events.map((e) => e.id), [...ids.slice(2, 4), ...ids.slice(6)]);
  const [gap, more] = stream.control('weft.gap').map((g) => g.data);
  assert.equal(more, undefined);
  assert.equal(gap?.topic, 't');
  assert.equal(gap.next, ids[6]);
  assert.ok([ids[1], ids[3]].includes(gap.after), `after ${gap.after}: the cursor, or the last event before the hole`);
  const order = stream.all.map((e) => (e.type === 'weft.gap' ? 'gap' : e.data.payload?.n));
  assert.ok(order.indexOf('gap') < order.indexOf(7), `the gap comes before the first event behind the hole: ${order}`);
});

story('the whole log is gone (DEL): told at once, with nothing next', async (w) => {
  const nodes = await w.cluster(2, { node: { set: FORGETFUL } });
  const api = w.client(nodes[0]);
  const ids = await api.published('t', events(1, 5));
  await w.store.cli('DEL', 'weft:{0}:log:t');
  const behind = await w.follow(nodes[1], 'topic=t', { lastEventId: ids[2] });
  const told = await behind.waitControl('weft.gap');
  assert.deepEqual(told.data, { topic: 't', after: ids[2], next: null, reason: 'trimmed' });
  const upToDate = await w.follow(nodes[1], 'topic=t', { lastEventId: ids[4] });
  const later = await api.published('t', events(6, 7));
  for (const stream of [behind, upToDate]) {
    await stream.take(2);
    assert.deepEqual(stream.events.map((e) => e.id), later);
  }
  assert.deepEqual(upToDate.control('weft.gap'), [], 'who had seen all has missed nothing');
  // A client that comes only now is told with the event that comes next.
  const late = await w.follow(nodes[0], 'topic=t', { lastEventId: ids[2] });
  await checkGap(w, late, { topic: 't', after: ids[2], held: later });
});

story('XTRIM to nothing is the same as DEL', async (w) => {
  const [node] = await w.cluster(1, { node: { set: FORGETFUL } });
  const ids = await w.client(node).published('t', events(1, 5));
  await w.store.cli('XTRIM', 'weft:{0}:log:t', 'MAXLEN', '0');
  const stream = await w.follow(node, 'topic=t', { lastEventId: ids[0] });
  const told = await stream.waitControl('weft.gap');
  assert.deepEqual(told.data, { topic: 't', after: ids[0], next: null, reason: 'trimmed' });
});

story('a live reader is not told of a trim behind its back', async (w) => {
  const [node] = await w.cluster(1, { ...TRIMMING, node: { set: { history: { max_events: 10 } } } });
  const api = w.client(node);
  const stream = await w.follow(node, 'topic=t');
  for (let n = 1; n <= 300; n += 10) await api.published('t', events(n, n + 9));
  await stream.take(300);
  assert.deepEqual(stream.events.map((e) => e.payload.n), Array.from({ length: 300 }, (_, i) => i + 1));
  assert.deepEqual(stream.control('weft.gap'), []);
});

story('since=earliest asks for what is there: no gap', async (w) => {
  const [node] = await w.cluster(1, { ...TRIMMING, node: { set: { history: { max_events: 10 } } } });
  const api = w.client(node);
  for (let n = 1; n <= 100; n += 10) await api.published('t', events(n, n + 9));
  const held = await w.store.ids('t');
  const stream = await w.follow(node, 'topic=t&since=earliest');
  await stream.take(held.length);
  assert.deepEqual(stream.events.map((e) => e.id), held);
  assert.deepEqual(stream.control('weft.gap'), []);
});

story('a type filter does not hide a gap', async (w) => {
  const [node] = await w.cluster(1, { node: { set: FORGETFUL } });
  const api = w.client(node);
  const [cursor] = await api.published('t', { type: 'a' });
  await api.published('t', [{ type: 'a' }, { type: 'a' }, { type: 'b' }]);
  await w.store.cli('XTRIM', 'weft:{0}:log:t', 'MAXLEN', '=', '1');
  const next = await firstHeld(w, 't');
  const stream = await w.follow(node, 'topic=t&types=a', { lastEventId: cursor });
  assert.deepEqual((await stream.waitControl('weft.gap')).data, { topic: 't', after: cursor, next, reason: 'trimmed' });
  const [id] = await api.published('t', { type: 'a' });
  assert.deepEqual((await stream.take(1)).map((e) => e.id), [id]);
});

story('a long-poll that takes several pages is told each gap once', async (w) => {
  const { api, cursor, gaps } = await trimmedFarBeyond(w);
  const polled = await api.poll(`topic=g:a&topic=g:b&topic=g:c&lastEventId=${cursor}&limit=1000`);
  assert.deepEqual(polled.json.gaps.map((g) => [g.topic, g.next]).sort(), gaps);
  assert.ok(polled.json.events.length > 0);
});

story('a long-poll is told in its gaps, before and without events', async (w) => {
  const [node] = await w.cluster(1, { node: { set: FORGETFUL } });
  const api = w.client(node);
  const ids = await api.published('t', events(1, 10));
  await w.store.cli('XTRIM', 'weft:{0}:log:t', 'MAXLEN', '=', '3');
  const polled = await api.poll(`topic=t&lastEventId=${ids[1]}&wait_ms=5000`);
  assert.deepEqual(polled.json.events.map((e) => e.id), ids.slice(7));
  assert.deepEqual(polled.json.gaps, [{ topic: 't', after: ids[1], next: ids[7], reason: 'trimmed' }]);
  assert.equal(polled.json.cursor, ids[9]);
  const fine = await api.poll(`topic=t&lastEventId=${ids[6]}&wait_ms=5000`);
  assert.deepEqual(fine.json.gaps, []);
  assert.equal(fine.json.events.length, 3);
  await w.store.cli('DEL', 'weft:{0}:log:t');
  const nothing = await api.poll(`topic=t&lastEventId=${ids[1]}&wait_ms=20000`);
  assert.deepEqual(nothing.json.events, []);
  assert.deepEqual(nothing.json.gaps, [{ topic: 't', after: ids[1], next: null, reason: 'trimmed' }]);
});

story('history tells what it cannot show', async (w) => {
  const [node] = await w.cluster(1, { node: { set: FORGETFUL } });
  const api = w.client(node);
  const ids = await api.published('t', events(1, 10));
  await w.store.cli('XTRIM', 'weft:{0}:log:t', 'MAXLEN', '=', '3');
  const read = await api.get(`/api/topics/t/events?after=${ids[1]}`);
  assert.deepEqual(read.json.events.map((e) => e.id), ids.slice(7));
  assert.deepEqual(read.json.gap, { topic: 't', after: ids[1], next: ids[7], reason: 'trimmed' });
  const whole = await api.get(`/api/topics/t/events?after=${ids[6]}`);
  assert.equal(whole.json.gap, null);
});

// An entry of 16 MiB fits no frame. It cannot be published: somebody else, or a node of an older version, has written it.
const TOO_LONG = `local log = redis.call('XRANGE', KEYS[1], '-', '+')
redis.call('DEL', KEYS[1])
for i, entry in ipairs(log) do
  for k = 1, #entry[2] - 1, 2 do
    if entry[2][k] == 'event' and i == tonumber(ARGV[1]) then
      entry[2][k + 1] = '{"p":"' .. string.rep('x', 16777216) .. '"}'
    end
  end
  redis.call('XADD', KEYS[1], entry[1], unpack(entry[2]))
end`;

story('an entry that is too long for a frame is told as a gap, and no node ends', async (w) => {
  const nodes = await w.cluster(2, { node: { set: FORGETFUL } });
  const api = w.client(nodes[0]);
  const ids = await api.published('t', events(1, 4));
  await w.store.cmd('EVAL', TOO_LONG, '1', 'weft:{0}:log:t', '2');
  for (const node of nodes) {
    const stream = await w.follow(node, 'topic=t', { lastEventId: ids[0] });
    await checkGap(w, stream, { topic: 't', after: ids[0], held: [ids[2], ids[3]] });
    stream.cut();
    const history = await w.client(node).get('/api/topics/t/events');
    assert.deepEqual(history.json.events.map((e) => e.id), [ids[0], ids[2], ids[3]]);
    assert.ok((await node.metric('weft_live_malformed_total')) > 0, 'it is counted');
  }
  const stream = await w.follow(nodes[0], 'topic=t');
  const before = await nodes[0].metric('weft_live_malformed_total');
  const [ms, seq] = ids[3].split('-').map(Number);
  await w.store.cmd('EVAL', "return redis.call('PUBLISH', KEYS[1], ARGV[1] .. string.rep('x', 16777216) .. '\"}')", '1', 'weft:{0}:live', `${ms}-${seq + 1} ${seq} t a.b {"p":"`);
  await nodes[0].metricReaches('weft_live_malformed_total', before + 1);
  await api.published('t', event(5));
  await stream.take(1);
  assert.equal(stream.events[0].payload.n, 5);
});

story('events of the greatest size that can be allowed go through', async (w) => {
  const MIB = 1024 * 1024;
  const nodes = await w.cluster(2, { node: { set: { publish: { max_event_bytes: 8 * MIB }, http: { max_body_bytes: 16 * MIB } } } });
  const api = w.client(nodes[0]);
  const stream = await w.follow(nodes[1], 'topic=t');
  const large = { type: 'a.b', payload: { p: 'x'.repeat(8 * MIB - 1000) } };
  const [id] = await api.published('t', large);
  await stream.take(1);
  const resumed = await w.follow(nodes[0], 'topic=t&since=earliest');
  await resumed.take(1);
  for (const got of [stream.events[0], resumed.events[0]]) {
    assert.equal(got.id, id);
    assert.equal(got.payload.p.length, large.payload.p.length);
  }
  assert.equal((await api.publish('t', { type: 'a.b', payload: { p: 'x'.repeat(8 * MIB) } })).status, 413);
});
