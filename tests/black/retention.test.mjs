// What topics keep: by number and by age, by rules for patterns, and topics without news that go whole. One node
// at a time sweeps, by a lease; another takes over when it dies. Whoever had not seen what went is told, and
// nobody else: not who was live all the time, not after Redis was away, not when a topic is born again.
import assert from 'node:assert/strict';
import { story } from './lib/story.mjs';
import { event, events } from './lib/http.mjs';
import { run } from './lib/process.mjs';
import { bin, cleanEnv } from './lib/node.mjs';
import { until } from './lib/wait.mjs';

// Small blocks in the streams of Redis, so that trimming by number is nearly exact.
const BLOCKS = { args: ['--stream-node-max-entries', '5'] };
// No memory of the past in the nodes, so that what is told comes from the log.
const FORGETFUL = { ring: { events: 1 }, replay: { cache_bytes: 0 } };
// A sweep nearly always runs.
const EAGER = { history: { sweep_ms: 100 }, control: { lease_ms: 1000 } };

function node(rules, more = {}) {
  const history = { ...EAGER.history, ...more.history };
  if (rules) history.rules = rules;
  return { node: { set: { ...FORGETFUL, ...EAGER, ...more, history } }, redis: BLOCKS };
}

const log = (topic) => `weft:{0}:log:${topic}`;

function gone(w, topic) {
  return until(async () => (await w.store.cmd('ZSCORE', 'weft:{0}:topics', topic)) === null, { what: `${topic} to be removed` });
}

function gaps(stream) {
  return stream.control('weft.gap').map((gap) => gap.data);
}

// The gaps that a poll is told of at once.
async function gapsAfter(api, query, cursor) {
  const answer = await api.poll(`${query}&wait_ms=0`, { 'last-event-id': cursor });
  assert.equal(answer.status, 200, answer.text);
  return answer.json.gaps;
}

story('history.rules: a wrong rule is named, with its parameter', async () => {
  const args = (rule) => ['--check', '--set', 'auth.anonymous=all', '--set', `history.rules=repo:*=idle:1d,${rule}`];
  for (const [rule, why] of [['b', /PATTERN=KEY:VALUE/], ['b=max_age:1w', /a time/], ['b c=idle:1', /a topic/], ['b=keep:1', /no other keys/]]) {
    const done = await run(bin('weftd'), args(rule), { env: cleanEnv() });
    assert.equal(done.code, 2, rule);
    assert.match(done.stderr, /history\.rules: entry 2, /);
    assert.match(done.stderr, why);
    assert.ok(done.stderr.includes(rule));
  }
  const fine = await run(bin('weftd'), args('b=max_events:5;max_age:7d;idle:90d'), { env: cleanEnv() });
  assert.equal(fine.code, 0, fine.stderr);
});

story('by number: the first rule that matches counts, in one request too', async (w) => {
  const [a] = await w.cluster(1, node('repo:7=max_events:0,repo:*=max_events:10', { history: { max_events: 30 } }));
  const api = w.client(a);
  for (let n = 1; n <= 200; n += 10) {
    await api.published('repo:1', events(n, n + 9).map((e) => ({ ...e, topics: ['repo:1', 'repo:7', 'other'] })));
  }
  const length = async (topic) => (await w.store.ids(topic)).length;
  const [few, all, others] = [await length('repo:1'), await length('repo:7'), await length('other')];
  assert.ok(few >= 10 && few < 25, `repo:1 keeps ${few}`);
  assert.equal(all, 200);
  assert.ok(others >= 30 && others < 45, `other keeps ${others}`);
});

story('by number: a rule that was lowered reaches topics to which nobody publishes', async (w) => {
  const [a] = await w.cluster(1, node());
  const ids = await w.client(a).published('t', events(1, 200));
  await a.stop();
  const b = await w.node({ set: { ...EAGER, history: { ...EAGER.history, rules: 't=max_events:20' } } });
  await until(async () => (await w.store.ids('t')).length < 40, { what: 't to be trimmed' });
  const held = await w.store.ids('t');
  assert.ok(held.length >= 20);
  assert.deepEqual(held, ids.slice(-held.length));
  await b.metricReaches('weft_retention_events_total', 200 - held.length);
});

story('by age: exactly, and to nothing; the chain goes on', async (w) => {
  const [a] = await w.cluster(1, node('t=max_age:1s'));
  const api = w.client(a);
  const ids = await api.published('t', events(1, 42));
  const kept = await api.published('kept', events(1, 3));
  await until(async () => (await w.store.ids('t')).length === 0, { what: 't to be empty' });
  await a.metricReaches('weft_retention_events_total', 42);
  assert.deepEqual(await w.store.ids('kept'), kept);
  assert.equal(await w.store.cmd('ZSCORE', 'weft:{0}:topics', 't'), ids.at(-1).split('-')[1]);
  const behind = await w.follow(a, 'topic=t', { lastEventId: ids[9] });
  assert.deepEqual((await behind.waitControl('weft.gap')).data, { topic: 't', after: ids[9], next: null, reason: 'trimmed' });
  const seen = await w.follow(a, 'topic=t', { lastEventId: ids.at(-1) });
  const [next] = await api.published('t', event(43));
  for (const stream of [behind, seen]) assert.equal((await stream.take(1))[0].id, next);
  assert.deepEqual(gaps(seen), []);
});

story('by age: of a block that has old and young events, the old ones go', async (w) => {
  const [a] = await w.cluster(1, node('t=max_age:1h'));
  const api = w.client(a);
  await api.published('start', events(1, 3));
  for (const seq of [1, 2, 3]) await w.store.cmd('XADD', log('t'), `1000-${seq}`, 'prev', seq - 1, 'type', 'a', 'event', '{"type":"a"}');
  await w.store.cmd('ZADD', 'weft:{0}:topics', '3', 't');
  const young = await api.published('t', events(1, 2));
  await a.metricReaches('weft_retention_events_total', 3);
  assert.deepEqual(await w.store.ids('t'), young);
});

story('a topic without news goes whole; it is told to old cursors, by name and by pattern', async (w) => {
  const nodes = await w.cluster(2, node('old:*=idle:1s'));
  const api = w.client(nodes[0]);
  const [before] = await api.published('start', event(0));
  const ids = await api.published('old:1', events(1, 5));
  const [after] = await api.published('start', event(1));
  await gone(w, 'old:1');
  assert.equal(await w.store.cmd('EXISTS', log('old:1')), 0);
  assert.equal(await w.store.cmd('ZSCORE', 'weft:{0}:removed', 'old:1'), ids.at(-1).split('-')[1]);
  assert.equal((await api.get('/api/topics/old:1')).status, 404);
  assert.deepEqual((await api.get('/api/topics')).json.topics.map((t) => t.topic), ['start']);
  for (const a of nodes) {
    for (const [query, name] of [['topic=old:1', 'old:1'], ['topic=old:*', 'old:*'], ['topic=*', '*'], ['topic=old:1&topic=never', 'old:1']]) {
      for (const cursor of [before, ids[0], ids[3]]) {
        const stream = await w.follow(a, query, { lastEventId: cursor });
        const gap = await stream.waitControl('weft.gap');
        assert.deepEqual([gap.data.topic, gap.data.after, gap.data.reason], [name, cursor, 'trimmed'], query);
        stream.cut();
      }
      // Who had seen its last event misses nothing.
      for (const cursor of [ids[4], after]) {
        assert.deepEqual(await gapsAfter(w.client(a), query, cursor), [], `${query} after ${cursor}`);
      }
    }
    // A topic that never was, and one that is held, are not concerned.
    for (const query of ['topic=never', 'topic=start', 'topic=never*']) {
      assert.deepEqual(await gapsAfter(w.client(a), query, before), [], query);
    }
  }
});

story('born again: its chain begins anew, and only who had not seen its first life is told', async (w) => {
  const nodes = await w.cluster(2, node('old=idle:3s'));
  const api = w.client(nodes[0]);
  const [before] = await api.published('start', event(0));
  const ids = await api.published('old', events(1, 5));
  const live = await w.follow(nodes[0], 'topic=old', { lastEventId: ids[4] });
  const wild = await w.follow(nodes[1], 'topic=*', { lastEventId: ids[4] });
  await gone(w, 'old');
  const between = (await api.published('start', event(1)))[0];
  const again = await api.published('old', events(6, 8));
  const [first] = await w.store.cmd('XRANGE', log('old'), '-', '+', 'COUNT', '1');
  assert.deepEqual(first[1].slice(0, 2), ['prev', '0']);
  await live.take(3);
  await wild.take(4);
  assert.deepEqual([...gaps(live), ...gaps(wild)], [], 'who was live is not told of anything');
  for (const a of nodes) {
    for (const cursor of [before, ids[3]]) {
      const stream = await w.follow(a, 'topic=old', { lastEventId: cursor });
      await stream.take(3);
      assert.deepEqual(stream.events.map((e) => e.id), again);
      assert.deepEqual(gaps(stream), [{ topic: 'old', after: cursor, next: again[0], reason: 'trimmed' }]);
      assert.ok(stream.all.findIndex((e) => e.type === 'weft.gap') < stream.all.findIndex((e) => e.id === again[0]));
      stream.cut();
      const { json } = await w.client(a).get(`/api/topics/old/events?after=${cursor}`);
      assert.deepEqual(json.gap, { topic: 'old', after: cursor, next: again[0], reason: 'trimmed' });
    }
    for (const [cursor, n] of [[ids[4], 3], [between, 3], [again[0], 2]]) {
      const stream = await w.follow(a, 'topic=old', { lastEventId: cursor });
      await stream.take(n);
      assert.deepEqual(stream.events.map((e) => e.id), again.slice(-n));
      assert.deepEqual(gaps(stream), [], `after ${cursor}`);
      stream.cut();
      const { json } = await w.client(a).get(`/api/topics/old/events?after=${cursor}`);
      assert.equal(json.gap, null);
    }
  }
});

story('who was live is not told of a removal, also not when Redis was away meanwhile', async (w) => {
  const nodes = await w.cluster(2, node('old:*=idle:1s'));
  const api = w.client(nodes[0]);
  const ids = await api.published('old:1', events(1, 3));
  const streams = [];
  for (const a of nodes) {
    for (const query of ['topic=old:1', 'topic=old:*', 'topic=old:1&topic=never']) {
      streams.push(await w.follow(a, query, { lastEventId: ids[0] }));
    }
  }
  for (const stream of streams) await stream.take(2);
  // A topic with later news goes as well, so that the highest number that was removed is beyond every cursor.
  await api.published('elsewhere', event(0));
  await api.published('old:2', events(1, 3));
  await gone(w, 'old:1');
  await gone(w, 'old:2');
  await w.store.cmd('CLIENT', 'KILL', 'TYPE', 'pubsub');
  await w.store.cmd('CLIENT', 'KILL', 'TYPE', 'normal', 'SKIPME', 'yes');
  for (const stream of streams) await stream.waitControl('weft.recovered');
  const again = await api.published('old:1', events(4, 5));
  for (const stream of streams) {
    await stream.until(() => stream.events.at(-1)?.id === again[1], { what: 'the events of its second life' });
    const own = stream.events.filter((e) => e.topic === 'old:1').map((e) => e.payload.n);
    assert.deepEqual(own, [2, 3, 4, 5]);
    assert.deepEqual(gaps(stream), []);
  }
});

story('a cursor of before it was away, on a topic that had news and went in between, is told', async (w) => {
  const [a, b] = await w.cluster(2, node('old=idle:1s'));
  const api = w.client(a);
  const [id] = await api.published('old', event(1));
  const stream = await w.follow(b, 'topic=old', { lastEventId: id });
  b.program.signal('SIGSTOP');
  await api.published('old', events(2, 4));
  await gone(w, 'old');
  // The lease may have been b's: then a has taken it over. b finds its live connection cut when it goes on.
  const live = (await w.store.cmd('CLIENT', 'LIST')).split('\n').find((line) => line.includes('name=weft-b-live '));
  await w.store.cmd('CLIENT', 'KILL', 'ID', /id=(\d+)/.exec(live)[1]);
  b.program.signal('SIGCONT');
  const [later] = await api.published('old', event(5));
  await stream.until(() => stream.events.at(-1)?.id === later || gaps(stream).length > 0, { what: 'what was lost, or a gap' });
  await stream.until(() => stream.events.at(-1)?.id === later, { what: 'the event after it' });
  const got = stream.events.map((e) => e.payload.n);
  // What b's sockets still held was delivered; the rest is told.
  if (got.length < 4) assert.deepEqual(gaps(stream).map((g) => [g.topic, g.next]), [['old', later]]);
  assert.deepEqual(got, [...got].sort((x, y) => x - y));
});

story('removed topics that are forgotten: the floor tells rather one gap too many', async (w) => {
  const [a] = await w.cluster(1, node());
  const api = w.client(a);
  const [before] = await api.published('start', event(0));
  await api.published('x', event(1));
  const [last] = await api.published('y', event(2));
  await api.published('start', event(3));
  const retain = (topic, remembered) =>
    w.store.cmd('FCALL', 'weft1_retain', '4', 'weft:{0}:head', 'weft:{0}:topics', 'weft:{0}:removed', log(topic), '1000', remembered, topic, '0', '1', '0');
  await until(async () => (await retain('x', '1'))[2] === 1, { what: 'x to go' });
  await until(async () => (await retain('y', '0'))[2] === 1, { what: 'y to go' });
  assert.equal(await w.store.cmd('HGET', 'weft:{0}:head', 'floor'), last.split('-')[1]);
  assert.deepEqual(await w.store.cmd('ZRANGE', 'weft:{0}:removed', '0', '-1'), []);
  for (const topic of ['x', 'y', 'never', 'ne*']) {
    const behind = await w.follow(a, `topic=${topic}`, { lastEventId: before });
    const gap = await behind.waitControl('weft.gap');
    assert.equal(gap.data.topic, topic);
    assert.deepEqual(await gapsAfter(api, `topic=${topic}`, last), []);
  }
});

story('a publish between two looks keeps the topic', async (w) => {
  const [a] = await w.cluster(1, node('t=idle:4s'));
  const api = w.client(a);
  const ids = [];
  const sweeps = () => a.metric('weft_retention_sweeps_total');
  // News again and again, for longer than its idle time: every sweep finds it young.
  const began = Date.now();
  for (let n = 1; Date.now() - began < 5000; n++) {
    ids.push(...(await api.published('t', event(n))));
    const now = await sweeps();
    await a.metricReaches('weft_retention_sweeps_total', (value) => value > now);
  }
  assert.deepEqual(await w.store.ids('t'), ids);
  await gone(w, 't');
});

story('what is not a log is left alone, and the others are swept', async (w) => {
  const [a] = await w.cluster(1, node('*=max_age:1s;idle:2s'));
  const api = w.client(a);
  for (const topic of ['a', 'b', 'c']) await api.published(topic, event(1));
  await w.store.cmd('DEL', log('b'));
  await w.store.cmd('SET', log('b'), 'somebody else');
  await gone(w, 'a');
  await gone(w, 'c');
  assert.equal(await w.store.cmd('GET', log('b')), 'somebody else');
  assert.notEqual(await w.store.cmd('ZSCORE', 'weft:{0}:topics', 'b'), null);
});

story('many topics, and more old events than one call removes', async (w) => {
  const [a] = await w.cluster(1, node('old:*=max_age:2s;idle:1h'));
  await w.store.cmd('FUNCTION', 'LOAD', 'REPLACE', "#!lua name=test\nredis.register_function('test_fill', function(k, a) for i = 1, tonumber(a[1]) do redis.call('XADD', k[1], '1-' .. i, 'prev', i - 1, 'type', 'a', 'event', '{}') end redis.call('ZADD', k[2], a[1], a[2]) return 1 end)");
  await w.store.cmd('FCALL', 'test_fill', '2', log('old:big'), 'weft:{0}:topics', '35003', 'old:big');
  for (let i = 0; i < 450; i++) await w.store.cmd('FCALL', 'test_fill', '2', log(`old:${i}`), 'weft:{0}:topics', '1', `old:${i}`);
  await until(async () => (await w.store.cmd('ZCARD', 'weft:{0}:topics')) === 0, { what: 'all topics to go' });
  assert.equal(await a.metric('weft_retention_topics_total'), 451);
  assert.equal(await w.store.cmd('ZCARD', 'weft:{0}:removed'), 451);
});

story('one node sweeps; when it is killed the other takes over, with a larger number', async (w) => {
  const nodes = await w.cluster(2, node('t=max_age:1s'));
  const [holder] = await until(async () => {
    const held = await Promise.all(nodes.map((n) => n.metric('weft_leases_held')));
    return held[0] + held[1] === 1 && [nodes[held.indexOf(1)]];
  }, { what: 'one of them to hold the lease' });
  const other = nodes.find((n) => n !== holder);
  const lease = async () => (await w.store.cmd('GET', 'weft:lease:{retention}'))?.split(' ');
  const [who, number] = await lease();
  assert.equal(who, holder.id);
  assert.equal(await w.store.cmd('GET', 'weft:lease:{retention}:fence'), number);
  await holder.metricReaches('weft_retention_sweeps_total', (n) => n > 2);
  assert.equal(await other.metric('weft_retention_sweeps_total'), 0);

  await holder.kill();
  await other.logged('lease.taken');
  const [next, larger] = await lease();
  assert.equal(next, other.id);
  assert.ok(Number(larger) > Number(number));
  await other.metricReaches('weft_leases_held', 1);
  const [id] = await w.client(other).published('t', event(1));
  assert.ok(id);
  await until(async () => (await w.store.ids('t')).length === 0, { what: 't to be swept by the other' });

  // A node that ends in order gives the lease back: nobody waits for it to expire.
  await other.stop();
  assert.equal(await w.store.cmd('EXISTS', 'weft:lease:{retention}'), 0);
  assert.equal(await w.store.cmd('EXISTS', 'weft:lease:{retention}:fence'), 1);
});

story('a node whose lease was taken away stops sweeping', async (w) => {
  const [a] = await w.cluster(1, node('t=max_age:1s'));
  await a.metricReaches('weft_retention_sweeps_total', (n) => n > 1);
  await w.store.cmd('SET', 'weft:lease:{retention}', 'somebody 99', 'PX', '600000');
  await a.logged('lease.lost');
  await a.metricReaches('weft_leases_held', 0);
  const sweeps = await a.metric('weft_retention_sweeps_total');
  await w.client(a).published('t', event(1));
  const began = Date.now();
  await until(() => Date.now() - began > 1500, { what: 'the event to be too old' });
  assert.equal(await a.metric('weft_retention_sweeps_total'), sweeps);
  assert.equal((await w.store.ids('t')).length, 1);
  // It is free again: the node goes on.
  await w.store.cmd('DEL', 'weft:lease:{retention}');
  await until(async () => (await w.store.ids('t')).length === 0, { what: 't to be swept again' });
});

story('a node that was stopped finds that its lease is another\'s', async (w) => {
  const nodes = await w.cluster(2, node('t=max_age:1s'));
  const holder = await until(async () => {
    const [who] = ((await w.store.cmd('GET', 'weft:lease:{retention}')) ?? '').split(' ');
    return nodes.find((n) => n.id === who);
  }, { what: 'a holder' });
  const other = nodes.find((n) => n !== holder);
  await holder.logged('lease.taken');
  holder.program.signal('SIGSTOP');
  await other.logged('lease.taken');
  holder.program.signal('SIGCONT');
  await holder.logged('lease.lost');
  await holder.metricReaches('weft_leases_held', 0);
  assert.equal(await other.metric('weft_leases_held'), 1);
});

story('functions that somebody flushed are loaded again', async (w) => {
  const [a] = await w.cluster(1, node('t=max_age:1s'));
  await a.metricReaches('weft_retention_sweeps_total', (n) => n > 1);
  await w.store.cmd('FUNCTION', 'FLUSH');
  await w.client(a).published('t', event(1));
  await until(async () => (await w.store.ids('t')).length === 0, { what: 't to be swept' });
});
