// Resuming. A client's network breaks after any event; it comes back to any node with the id of the last event
// that it saw, in the header or in the URL, and gets exactly the rest, once and in order, and then what is new.
// Topics, events and what the client follows are made by chance; the seed is printed.
import assert from 'node:assert/strict';
import http from 'node:http';
import { EventSource } from 'eventsource';
import { story } from './lib/story.mjs';
import { events } from './lib/http.mjs';
import { deadline, QUICK } from './lib/wait.mjs';

const ROUNDS = QUICK ? 2 : 4;
const EVENTS = QUICK ? 30 : 60;
const seq = (id) => Number(id.split('-')[1]);
const TYPES = ['a.one', 'a.two', 'b.one', 'c'];

function matches(patterns, topics) {
  return topics.some((topic) => patterns.some((p) => (p.endsWith('*') ? topic.startsWith(p.slice(0, -1)) : p === topic)));
}

function glob(pattern, type) {
  return new RegExp(`^${pattern.replaceAll('.', '\\.').replaceAll('*', '.*')}$`).test(type);
}

// Publishes random events through random nodes, and returns them as acknowledged.
async function publishSome(random, clients, topics, count, from) {
  const all = [];
  let n = from;
  while (all.length < count) {
    const batch = Array.from({ length: random.between(1, 4) }, () => {
      const made = { type: random.pick(TYPES), payload: { n: n++, text: 'x'.repeat(random.below(300)) } };
      made.topics = random.some(topics, random.chance(0.3) ? 2 : 1);
      return made;
    });
    const ids = await random.pick(clients).published('unused', batch);
    batch.forEach((made, i) => all.push({ id: ids[i], ...made }));
  }
  return all;
}

function subscription(random, topics) {
  const patterns = random.some(topics, random.between(1, topics.length));
  if (random.chance(0.4)) patterns.push(random.pick(['*', 'repo:*', 'x*']));
  const types = random.chance(0.3) ? random.pick(['a.*', '*.one', 'c', 'a.one']) : null;
  const query = patterns.map((p) => `topic=${encodeURIComponent(p)}`).join('&') + (types ? `&types=${types}` : '');
  return { patterns, types, query, wants: (e) => matches(patterns, e.topics) && (!types || glob(types, e.type)) };
}

function open(w, node, query, cursor, way) {
  return way === 'header' ? w.follow(node, query, { lastEventId: cursor }) : w.follow(node, `${query}&lastEventId=${cursor}`);
}

for (let round = 1; round <= ROUNDS; round++) {
  story(`round ${round}: cut after every event, resumed on the other node`, async (w) => {
    const random = w.random();
    // A small ring in some rounds, so that resumes come from the ring, from Redis, and from both.
    const set = round % 2 === 0 ? { ring: { events: 8 }, replay: { cache_bytes: round % 4 === 0 ? 0 : 1_000_000 } } : {};
    const nodes = await w.cluster(2, { node: { set } });
    const clients = nodes.map((node) => w.client(node));
    const topics = random.some(['repo:1', 'repo:2', 'orders', 'x', 'xy', 'session:9f'], random.between(1, 5));
    const sub = subscription(random, topics);
    w.note(sub.query);

    const first = await w.follow(nodes[0], sub.query);
    const start = first.all[0].id;
    const published = await publishSome(random, clients, topics, EVENTS, 0);
    const wanted = published.filter(sub.wants);
    await first.take(wanted.length);
    assert.deepEqual(first.events.map((e) => e.id), wanted.map((e) => e.id));

    // One client that is cut after every event: each connection yields the next one, then ends.
    let cursor = start;
    for (let k = 0; k < wanted.length; k++) {
      const stream = await open(w, nodes[k % 2], sub.query, cursor, k % 4 < 2 ? 'header' : 'query');
      await stream.take(1);
      assert.equal(stream.events[0].id, wanted[k].id, `connection ${k}`);
      cursor = stream.events[0].id;
      stream.cut();
    }

    // And for every event k a client that stopped there: the whole rest, then live.
    const resumed = [];
    for (let k = 0; k <= wanted.length; k++) {
      const at = k === 0 ? start : wanted[k - 1].id;
      resumed.push(open(w, nodes[(k + 1) % 2], sub.query, at, k % 2 ? 'header' : 'query').then((stream) => ({ k, stream })));
    }
    const streams = await Promise.all(resumed);
    const later = await publishSome(random, clients, topics, 20, 1000);
    const wantedLater = later.filter(sub.wants);
    for (const { k, stream } of streams) {
      const expected = [...wanted.slice(k), ...wantedLater];
      await stream.take(expected.length);
      assert.deepEqual(stream.events.map((e) => e.id), expected.map((e) => e.id), `resumed after event ${k}`);
      assert.deepEqual(stream.events.map((e) => e.payload.n), expected.map((e) => e.payload.n));
      assert.deepEqual(stream.control('weft.gap'), [], 'nothing was removed, so no gap is told');
    }
  });
}

story('a cursor between the events of a topic, of another topic, and of the future', async (w) => {
  const nodes = await w.cluster(2);
  const api = w.client(nodes[0]);
  const [one] = await api.published('other', events(0, 0));
  const [first] = await api.published('t', events(1, 1));
  const [two] = await api.published('other', events(0, 0));
  const [second] = await api.published('t', events(2, 2));
  for (const [cursor, expected] of [[one, [first, second]], [first, [second]], [two, [second]], [second, []]]) {
    const stream = await w.follow(nodes[1], 'topic=t', { lastEventId: cursor });
    await stream.take(expected.length);
    assert.deepEqual(stream.events.map((e) => e.id), expected);
    assert.deepEqual(stream.control('weft.gap'), []);
    stream.cut();
  }
});

story('a resume longer than any page, at the pace of the client', async (w) => {
  const [a, b] = await w.cluster(2, { node: { set: { ring: { events: 16 } } } });
  const api = w.client(a);
  const count = QUICK ? 3000 : 10_000;
  for (let n = 1; n <= count; n += 500) await api.published(n % 2000 < 1000 ? 'left' : 'right', events(n, n + 499));
  const stream = await w.follow(b, 'topic=left&topic=right&since=earliest');
  await stream.take(1000);
  stream.pause();
  await api.published('left', events(count + 1, count + 500));
  stream.resume();
  await stream.take(count + 500);
  assert.deepEqual(stream.events.map((e) => e.payload.n), Array.from({ length: count + 500 }, (_, i) => i + 1));
});

async function xranges(w) {
  return Number(/cmdstat_xrange:calls=(\d+)/.exec(await w.store.cmd('INFO', 'commandstats'))?.[1] ?? 0);
}

// Publishes one event to the topic of each number in the list, and returns them as acknowledged.
async function publishTo(api, list, text = () => '') {
  const ids = [];
  for (let from = 0; from < list.length; from += 500) {
    const batch = list.slice(from, from + 500).map((t, i) => ({ type: 'a', topics: [`many:${t}`], payload: { n: from + i, text: text(t) } }));
    ids.push(...(await api.published('unused', batch)));
  }
  return ids;
}

// A page ends where one of its topics is not known further: were all the others asked again for each such end,
// the reads would be topics times events.
story('a resume of many topics by a pattern: a few reads for each topic', async (w) => {
  const [node] = await w.cluster(1);
  const api = w.client(node);
  const [start] = await api.published('other', events(0, 0));
  const topics = 2000;
  const ids = await publishTo(api, Array.from({ length: 3 * topics }, (_, i) => i % topics));
  const before = await xranges(w);
  const stream = await w.follow(node, 'topic=many:*', { lastEventId: start });
  await stream.take(ids.length);
  assert.deepEqual(stream.events.map((e) => e.id), ids);
  assert.deepEqual(stream.control('weft.gap'), []);
  const reads = (await xranges(w)) - before;
  assert.ok(reads <= 3 * topics, `${reads} XRANGEs for ${topics} topics`);
});

story('... in any order, when some are busy and some have large events', async (w) => {
  const [node] = await w.cluster(1);
  const api = w.client(node);
  const random = w.random();
  const [start] = await api.published('other', events(0, 0));
  const topics = QUICK ? 400 : 1000;
  const list = Array.from({ length: topics }, (_, t) => t);
  for (let i = 0; i < 6 * topics; i++) list.push(random.chance(0.3) ? 0 : random.below(topics));
  const mixed = random.some(list, list.length);
  const ids = await publishTo(api, mixed, (t) => 'x'.repeat(t % 50 === 49 ? 20_000 : t % 100));
  const before = await xranges(w);
  const stream = await w.follow(node, 'topic=many:*', { lastEventId: start });
  await stream.take(ids.length);
  assert.deepEqual(stream.events.map((e) => e.id), ids);
  assert.deepEqual(stream.events.map((e) => e.topic), mixed.map((t) => `many:${t}`));
  assert.deepEqual(stream.control('weft.gap'), []);
  const reads = (await xranges(w)) - before;
  w.note(`${reads} XRANGEs for ${topics} topics and ${ids.length} events`);
  assert.ok(reads <= 20 * topics, `${reads} XRANGEs for ${topics} topics`);
});

story('the eventsource package comes back by itself, to another node behind the same address', async (w) => {
  const nodes = await w.cluster(2, { node: { set: { sse: { retry_ms: 50, retry_jitter_ms: 0 } } } });
  const api = w.client(nodes[1]);
  // A door that leads to node a first, and to node b after a cut.
  let target = nodes[0];
  const open = new Set();
  const door = http.createServer((req, res) => {
    const onward = http.request({ port: target.port, host: '127.0.0.1', path: req.url, headers: req.headers }, (answer) => {
      res.writeHead(answer.statusCode, answer.headers);
      answer.pipe(res);
      answer.on('error', () => res.destroy());
    });
    onward.on('error', () => res.destroy());
    open.add(onward);
    res.on('close', () => {
      onward.destroy();
      open.delete(onward);
    });
    onward.end();
  });
  await new Promise((resolve) => door.listen(0, '127.0.0.1', resolve));
  w.atEnd(() => {
    door.closeAllConnections?.();
    door.close();
  });
  const source = new EventSource(`http://127.0.0.1:${door.address().port}/api/events?topic=t&named=0`);
  w.atEnd(() => source.close());
  const got = [];
  let wake = () => {};
  source.onmessage = (message) => {
    const data = JSON.parse(message.data);
    if (data.payload) got.push(data.payload.n);
    else got.opened = (got.opened ?? 0) + 1;
    wake();
  };
  const reach = (test, what) => deadline(new Promise((resolve) => {
    wake = () => test() && resolve();
    wake();
  }), { what });
  await reach(() => got.opened === 1, 'the stream to open');
  await api.published('t', events(1, 5));
  await reach(() => got.length >= 5, 'five events');
  target = nodes[1];
  for (const onward of open) onward.destroy();
  await api.published('t', events(6, 10));
  await reach(() => got.length >= 10, 'ten events');
  await api.published('t', events(11, 12));
  await reach(() => got.length >= 12, 'twelve events');
  assert.deepEqual([...got], Array.from({ length: 12 }, (_, i) => i + 1));
});

story('a node is killed: its client goes on at the other one', async (w) => {
  const nodes = await w.cluster(2);
  const api = w.client(nodes[1]);
  const stream = await w.follow(nodes[0], 'topic=t');
  const ids = await api.published('t', events(1, 10));
  await stream.take(10);
  await nodes[0].kill();
  await deadline(stream.closed, { what: 'the stream to end with its node' });
  const more = await api.published('t', events(11, 20));
  const again = await w.follow(nodes[1], 'topic=t', { lastEventId: stream.lastId });
  assert.deepEqual((await again.take(10)).map((e) => e.id), more);
  assert.equal(seq(more[0]), seq(ids[9]) + 1);
});

story('SIGTERM: streams are ended in order, and the client loses nothing', async (w) => {
  const nodes = await w.cluster(2);
  const api = w.client(nodes[1]);
  const streams = await Promise.all(Array.from({ length: 10 }, () => w.follow(nodes[0], 'topic=t')));
  await api.published('t', events(1, 10));
  for (const stream of streams) await stream.take(10);
  const how = await nodes[0].stop();
  assert.deepEqual(how, { code: 0, signal: null });
  for (const stream of streams) {
    await deadline(stream.closed, { what: 'the stream to end' });
    assert.ok(stream.complete, 'the last chunk was sent');
  }
  const more = await api.published('t', events(11, 12));
  const again = await w.follow(nodes[1], 'topic=t', { lastEventId: streams[3].lastId });
  assert.deepEqual((await again.take(2)).map((e) => e.id), more);
});
