// Slow readers. One stops reading while others follow: by its policy it reads on from the log, is told what it will not get and
// goes on with the newest events, or is ended and resumes; the others notice nothing. Who is slow is named, in
// /api/connections, by the command line and in the log, and what slow readers hold is bounded.
import assert from 'node:assert/strict';
import { story } from './lib/story.mjs';
import { SLOW, until } from './lib/wait.mjs';
import { bin } from './lib/node.mjs';
import { run } from './lib/process.mjs';

const PAD = 'x'.repeat(20_000);

// What a stalled connection swallows before the node notices is the kernel's business: so much more than that.
const MANY = 1000;

function padded(from, to) {
  const list = [];
  for (let n = from; n <= to; n++) list.push({ type: 'test.counted', payload: { n, pad: PAD } });
  return list;
}

// A small ring, so that who stops reading soon lies before it.
const SMALL = { node: { set: { ring: { events: 20 }, slow: { latest_events: 10, latest_ms: 100 }, http: { write_stall_ms: 60_000 } } } };

async function publishPadded(api, topic, n) {
  const ids = [];
  for (let from = 1; from <= n; from += 20) ids.push(...(await api.published(topic, padded(from, Math.min(n, from + 19)))));
  return ids;
}

function seq(id) {
  return Number(id.split('-')[1]);
}

function ascending(ids) {
  for (let i = 1; i < ids.length; i++) assert.ok(seq(ids[i]) > seq(ids[i - 1]), `${ids[i]} after ${ids[i - 1]}`);
}

async function overrun(w, query, set = {}) {
  const [node] = await w.cluster(1, { node: { set: { ...SMALL.node.set, ...set } } });
  const api = w.client(node);
  const fast = await w.follow(node, 'topic=t');
  const slow = await w.follow(node, query);
  slow.pause();
  const ids = await publishPadded(api, 't', MANY);
  await fast.take(MANY, { ms: 20_000 });
  assert.deepEqual(fast.events.map((e) => e.id), ids);
  return { node, api, slow, ids };
}

story('replay: everything comes, from the log', async (w) => {
  const { node, slow, ids } = await overrun(w, 'topic=t');
  slow.resume();
  await slow.take(MANY, { ms: 20_000 });
  assert.deepEqual(slow.events.map((e) => e.id), ids);
  assert.equal(slow.control('weft.gap').length, 0);
  assert.ok((await node.metric('weft_slow_replay_total')) >= 1);
});

story('latest: what is left out is told, then the newest event, then live', async (w) => {
  const { node, api, slow, ids } = await overrun(w, 'topic=t&topic=quiet&slow=latest');
  slow.resume();
  const gap = await slow.waitControl('weft.gap');
  await slow.until(() => slow.events.at(-1)?.id === ids.at(-1), { what: 'the newest event' });
  const got = slow.events.map((e) => e.id);
  assert.ok(got.length < MANY);
  ascending(got);
  // Exactly what was told is missing.
  const gaps = slow.control('weft.gap').map((e) => e.data);
  for (const { topic, reason } of gaps) {
    assert.equal(topic, 't');
    assert.equal(reason, 'slow');
  }
  const told = ids.filter((id) => gaps.some((g) => seq(id) > seq(g.after) && seq(id) < seq(g.next)));
  assert.deepEqual(ids.filter((id) => !got.includes(id)), told);
  assert.ok(got.includes(gap.data.next));
  const [next] = await api.published('t', padded(MANY + 1, MANY + 1));
  await slow.until(() => slow.events.at(-1)?.id === next, { what: 'a live event' });
  assert.equal(slow.control('weft.gap').length, gaps.length);
  assert.ok((await node.metric('weft_slow_latest_total')) >= 1);
});

story('close: the end is told, and a resume by its id gets the rest', async (w) => {
  const { node, slow, ids } = await overrun(w, 'topic=t&slow=close');
  slow.resume();
  const closed = await slow.waitControl('weft.closed');
  assert.deepEqual(closed.data, { reason: 'slow', cursor: closed.id });
  await slow.until(() => slow.complete, { what: 'the end of the body', mayEnd: true });
  assert.equal(await node.metric('weft_slow_closed_total'), 1);
  const got = slow.events.map((e) => e.id);
  assert.deepEqual(got, ids.slice(0, got.length));
  const again = await w.follow(node, 'topic=t&slow=close', { lastEventId: slow.lastId });
  await again.take(MANY - got.length, { ms: 20_000 });
  assert.deepEqual([...got, ...again.events.map((e) => e.id)], ids);
});

story('the policy of a topic, and the word of the request over it', async (w) => {
  const policies = 'tick:*=latest,t=close,*=replay';
  const { node, api, slow } = await overrun(w, 'topic=t', { slow: { ...SMALL.node.set.slow, policies } });
  slow.resume();
  await slow.waitControl('weft.closed');
  const expected = {
    'topic=tick:1': 'latest',
    'topic=tick:*': 'latest',
    'topic=tick:1&topic=t': 'replay', // which leaves nothing out
    'topic=*': 'replay',
    'topic=tick:1&slow=close': 'close',
  };
  const streams = await Promise.all(Object.keys(expected).map((query) => w.follow(node, query)));
  const names = streams.map((stream) => stream.control('weft.open')[0].data.stream);
  const listed = await until(async () => {
    const { slowest } = (await api.get('/api/connections?limit=100')).json;
    const found = names.map((name) => slowest.find((s) => s.stream === name)?.slow);
    return found.includes(undefined) ? null : found;
  }, { what: 'all to be listed' });
  assert.deepEqual(listed, Object.values(expected));
});

story('a wrong policy is refused, by a stream and by a poll', async (w) => {
  const [node] = await w.cluster();
  for (const accept of ['text/event-stream', 'application/json']) {
    const { status, json } = await w.client(node).get('/api/events?topic=t&slow=never', { accept });
    assert.equal(status, 400);
    assert.equal(json.error.field, 'slow');
  }
  const answer = await w.client(node).poll('topic=t&slow=latest&wait_ms=0');
  assert.equal(answer.status, 200);
  for (const query of ['sort=name', 'limit=0', 'limit=101', 'x=1']) {
    assert.equal((await w.client(node).get(`/api/connections?${query}`)).status, 400, query);
  }
});

story('the slowest is named: by the API, the command line and the log', async (w) => {
  const { node, api, slow, ids } = await overrun(w, 'topic=t&topic=u&topic=v&topic=x&topic=y');
  const name = slow.control('weft.open')[0].data.stream;
  const peer = `127.0.0.1:${slow.socket.localPort}`;
  const first = await until(async () => {
    const { json } = await api.get('/api/connections?sort=lag&limit=1');
    assert.ok(json.slowest.length <= 1);
    const [s] = json.slowest;
    // Of the same moment only when nothing goes on.
    return s?.stalled_ms > 0 && s.lag === seq(ids.at(-1)) - seq(s.cursor) && json.totals.lagging === 1 ? json : null;
  }, { what: 'somebody to be slow' });
  const [one] = first.slowest;
  assert.equal(one.stream, name);
  assert.equal(one.peer, peer);
  assert.deepEqual(one.topics, ['t', 'u', 'v', 'x']);
  assert.equal(one.topics_total, 5);
  assert.equal(one.slow, 'replay');
  assert.ok(one.unsent_bytes > 0);
  assert.ok(one.socket_bytes > 0);
  assert.ok(Math.abs(one.since_ms - Date.now()) < 600_000);
  assert.equal(first.totals.streams, 2);
  assert.equal(first.topics.length, 1);
  const { topics } = (await api.get('/api/connections')).json;
  assert.deepEqual(topics.map((t) => [t.topic, t.subscribers]).sort(), [['t', 2], ['u', 1], ['v', 1], ['x', 1], ['y', 1]]);

  const line = await node.logged('subscriber.slow');
  assert.equal(line.level, 'warn');
  assert.equal(line.stream, `${name.slice(0, -16)}***`, 'with the whole of it anybody could change the stream');
  assert.equal(line.peer, peer);
  assert.match(line.request_id, /^[0-9a-f]{32}$/);
  assert.ok((await node.metric('weft_subscriber_lag_max')) > 0);

  const shown = await run(bin('weft'), ['connections', '--url', node.origin, '--limit', '1']);
  assert.equal(shown.code, 0, shown.stderr);
  assert.match(shown.stdout, new RegExp(`^${name}\t${peer}\t`, 'm'));
  const json = await run(bin('weft'), ['connections', '--url', node.origin, '--json']);
  assert.equal(JSON.parse(json.stdout).slowest[0].stream, name);

  assert.ok(!node.program.output().includes(name.slice(-16)));
  slow.resume();
  await slow.take(MANY, { ms: 20_000 });
  await until(async () => (await api.get('/api/connections')).json.totals.lagging === 0, { what: 'nobody to be slow' });
}, { needs: ['weftd', 'weft'] });

story('what the socket of a stalled reader holds is bounded', async (w) => {
  const { api } = await overrun(w, 'topic=t');
  const one = await until(async () => (await api.get('/api/connections')).json.slowest.find((s) => s.stalled_ms > 0), { what: 'a stalled stream' });
  // The receive buffer of a reader on the same machine is not counted: what the node's kernel holds, and the node.
  w.note(`${one.socket_bytes} bytes in the socket, ${one.unsent_bytes} in the node`);
  assert.ok(one.socket_bytes <= 256 * 1024, `${one.socket_bytes}`);
  assert.ok(one.unsent_bytes <= 320 * 1024, `${one.unsent_bytes}`);
});

story('a log of huge events is read in pieces', async (w) => {
  const HUGE = 200;
  const BYTES = 250_000;
  const [node] = await w.cluster(2, { node: { set: { history: { max_events: 0 }, http: { write_stall_ms: 60_000 } } } });
  const api = w.client(node);
  const ids = [];
  for (let n = 1; n <= HUGE; n += 2) {
    const pair = [n, n + 1].map((k) => ({ type: 'test.huge', payload: { k, pad: 'y'.repeat(BYTES) } }));
    ids.push(...(await api.published('huge', pair)));
  }
  // A node that has never seen the topic.
  const cold = w.nodes[1];
  const before = await cold.metric('process_resident_memory_bytes');
  const reader = await w.follow(cold, 'topic=huge&since=earliest', { onEvent: () => {} });
  let most = 0;
  while (reader.events.length < HUGE) {
    most = Math.max(most, await cold.metric('process_resident_memory_bytes'));
    assert.ok(!reader.ended, 'the stream ended');
  }
  assert.deepEqual(reader.events.map((e) => e.id), ids);
  // 16 of a topic that nothing is known of, then as many as come to 256 KiB.
  assert.ok((await cold.metric('weft_replay_reads_total')) > HUGE - 16);
  w.note(`${(most - before) / 1e6} MB`);
  // The whole log is 50 MB, several times that while it is taken apart. (A sanitizer's build keeps what was freed.)
  if (SLOW === 1) assert.ok(most - before < 70e6, `${(most - before) / 1e6} MB`);
});

story('over replay.held_bytes reads wait, and everything comes all the same', async (w) => {
  const set = { history: { max_events: 0 }, ring: { events: 5 }, replay: { held_bytes: 65_536, cache_bytes: 0 }, http: { write_stall_ms: 60_000 } };
  const [node] = await w.cluster(1, { node: { set, env: { WEFT_WORKERS: '1' } } });
  const api = w.client(node);
  const ids = await publishPadded(api, 't', MANY);
  const readers = await Promise.all(Array.from({ length: 6 }, (_, i) => w.follow(node, 'topic=t', { lastEventId: ids[i] })));
  for (const reader of readers.slice(0, 3)) reader.pause();
  await node.metricReaches('weft_replay_held_full_total', (n) => n > 0);
  for (const reader of readers) reader.resume();
  for (const [i, reader] of readers.entries()) {
    await reader.take(MANY - 1 - i, { ms: 40_000 });
    assert.deepEqual(reader.events.map((e) => e.id), ids.slice(i + 1));
  }
  await node.metricReaches('weft_replay_held_bytes', 0);
});
