// Redis is killed under load and comes back with its AOF. Meanwhile publishes are refused with 503 and
// Retry-After, never with a false 201; streams stay open, are told that the fabric is degraded and that it
// has recovered; and afterwards every acknowledged event is in the log and was seen by every reader, once.
import assert from 'node:assert/strict';
import { story } from './lib/story.mjs';
import { event, events } from './lib/http.mjs';
import { deadline, QUICK, sleep } from './lib/wait.mjs';

const RESTARTS = QUICK ? 1 : 3;
const FAST = { redis: { backoff_min_ms: 20, backoff_max_ms: 200 } };

// Publishers that go on whatever the answer is; every attempt carries its own number.
function load(clients, topics) {
  const made = { acked: new Map(), refused: 0, retryAfter: new Set(), other: [], go: true, n: 0 };
  made.done = Promise.all(
    clients.flatMap((api) => topics.map(async (topic) => {
      while (made.go) {
        const n = ++made.n;
        const answer = await api.publish(topic, event(n)).catch((error) => ({ status: 0, text: error.message }));
        if (answer.status === 201) {
          made.acked.set(n, { topic, id: answer.json.ids[0] });
        } else if (answer.status === 503) {
          made.refused++;
          made.retryAfter.add(answer.headers['retry-after']);
          assert.ok(['unavailable', 'busy'].includes(answer.json.error.code), answer.text);
          await sleep(5);
        } else {
          made.other.push(`${answer.status} ${answer.text}`);
          made.go = false;
        }
      }
    })),
  );
  made.done.catch(() => {}); // awaited by the story
  return made;
}

story('kill -9 and restart under load', async (w) => {
  const nodes = await w.cluster(2, { node: { set: FAST } });
  const clients = nodes.map((node) => w.client(node));
  const topics = ['one', 'two'];
  const streams = [
    await w.follow(nodes[0], 'topic=one&topic=two'),
    await w.follow(nodes[1], 'topic=one&topic=two'),
    await w.follow(nodes[0], 'topic=*'),
    await w.follow(nodes[1], 'topic=one'),
  ];
  const made = load(clients, topics);
  for (let round = 1; round <= RESTARTS; round++) {
    const before = made.acked.size;
    while (made.acked.size < before + 200) await sleep(5);
    await w.store.kill();
    const refusedBefore = made.refused;
    const waited = Date.now();
    while (made.refused < refusedBefore + 20) {
      assert.ok(Date.now() - waited < 20_000, 'publishes hang while Redis is away');
      await sleep(5);
    }
    for (const stream of streams) await stream.waitControl('weft.degraded', round);
    await w.store.restart();
    for (const stream of streams) await stream.waitControl('weft.recovered', round);
    for (const node of nodes) assert.equal((await w.client(node).get('/readyz')).status, 200);
  }
  const before = made.acked.size;
  while (made.acked.size < before + 200) await sleep(5);
  made.go = false;
  await deadline(made.done, { what: 'the publishers to end' });
  assert.deepEqual(made.other, []);
  assert.ok([...made.retryAfter].every((value) => /^\d+$/.test(value)), `Retry-After: ${[...made.retryAfter]}`);

  // An end mark on each topic: what was to come before it has come.
  const ends = [];
  for (const topic of topics) ends.push(...(await clients[0].published(topic, event(-1))));
  const logs = { one: await w.store.ids('one'), two: await w.store.ids('two') };
  for (const [n, { topic, id }] of made.acked) assert.ok(logs[topic].includes(id), `event ${n} was acknowledged as ${id} and is not in the log of ${topic}`);
  const seq = (id) => Number(id.split('-')[1]);
  const whole = [...logs.one, ...logs.two].sort((a, b) => seq(a) - seq(b));
  for (const [i, stream] of streams.entries()) {
    const expected = i === 3 ? logs.one : whole;
    await stream.until(() => stream.events.length >= expected.length, { what: `${expected.length} events on stream ${i}` });
    assert.ok(!stream.ended, 'the stream stayed open');
    const got = stream.events.map((e) => e.id);
    assert.equal(new Set(got).size, got.length, 'repeated');
    assert.deepEqual(got, expected, `stream ${i}`);
    assert.deepEqual(stream.control('weft.gap'), []);
  }
  w.note(`${made.acked.size} acknowledged, ${made.refused} refused, ${whole.length} in the logs`);
}, { timeout: 120_000 });

story('Redis stops answering (SIGSTOP): no publish hangs for ever, none is told a lie', async (w) => {
  const [node] = await w.cluster(1, { node: { set: { redis: { command_timeout_ms: 500, ...FAST.redis } } } });
  const api = w.client(node);
  const stream = await w.follow(node, 'topic=t');
  await api.published('t', event(1));
  w.store.program.signal('SIGSTOP');
  let answer;
  try {
    answer = await deadline(api.publish('t', event(2)), { what: 'an answer while Redis is frozen', ms: 5000 });
  } finally {
    w.store.program.signal('SIGCONT');
  }
  assert.equal(answer.status, 503, answer.text);
  assert.match(String(answer.headers['retry-after']), /^\d+$/);
  await stream.waitControl('weft.recovered');
  const [id] = await api.published('t', event(3));
  await stream.until(() => stream.events.at(-1)?.id === id, { what: 'the event after the freeze' });
  const got = stream.events.map((e) => e.id);
  assert.deepEqual(got, await w.store.ids('t'));
});

story('its connections are cut again and again (CLIENT KILL): nothing lost, nothing twice', async (w) => {
  const nodes = await w.cluster(2, { node: { set: FAST } });
  const clients = nodes.map((node) => w.client(node));
  const streams = [await w.follow(nodes[0], 'topic=t'), await w.follow(nodes[1], 'topic=*')];
  const made = load(clients, ['t']);
  for (let i = 0; i < 8; i++) {
    const before = made.acked.size;
    while (made.acked.size < before + 50) await sleep(2);
    await w.store.cmd('CLIENT', 'KILL', 'TYPE', i % 2 ? 'normal' : 'pubsub', 'SKIPME', 'yes');
  }
  const before = made.acked.size;
  while (made.acked.size < before + 50) await sleep(2);
  made.go = false;
  await made.done;
  assert.deepEqual(made.other, []);
  await clients[0].published('t', event(-1));
  const log = await w.store.ids('t');
  const logged = new Set(log);
  for (const { id } of made.acked.values()) assert.ok(logged.has(id), id);
  for (const stream of streams) {
    await stream.take(log.length);
    assert.deepEqual(stream.events.map((e) => e.id), log);
    assert.deepEqual(stream.control('weft.gap'), []);
  }
});

story('a node that starts before Redis does: it listens, says 503, and is ready by itself', async (w) => {
  await w.redis();
  const url = w.store.url;
  await w.store.kill();
  const node = await w.node({ redis: url, ready: false, set: FAST });
  const api = w.client(node);
  const refused = await api.publish('t', event(1));
  assert.equal(refused.status, 503);
  assert.ok(refused.headers['retry-after']);
  assert.equal((await api.get('/readyz')).status, 503);
  assert.equal((await api.get('/healthz')).status, 200);
  await w.store.restart();
  await node.logged('node.ready');
  assert.equal((await api.get('/readyz')).status, 200);
  await api.published('t', events(1, 3));
});

story('everything flushed while the node runs: it loads its functions again and goes on', async (w) => {
  const [node] = await w.cluster(1, { node: { set: FAST } });
  const api = w.client(node);
  await api.published('t', event(1));
  await w.store.cmd('FUNCTION', 'FLUSH');
  let answer;
  for (let i = 0; i < 50; i++) {
    answer = await api.publish('t', event(2));
    if (answer.status === 201) break;
    assert.equal(answer.status, 503, answer.text);
    await sleep(50);
  }
  assert.equal(answer.status, 201, answer.text);
});
