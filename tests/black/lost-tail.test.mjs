// Redis loses what it had acknowledged: a replica is promoted that lacked the last events, a machine crash takes the end of
// the append-only file, or everything is flushed. Whoever had one of the lost events is told by weft.gap, reason reset, and
// goes on with exactly what comes after what survived; nobody else is told anything.
import assert from 'node:assert/strict';
import path from 'node:path';
import { mkdirSync, readdirSync, statSync, truncateSync } from 'node:fs';
import { story } from './lib/story.mjs';
import { event, events } from './lib/http.mjs';
import { Redis } from './lib/redis.mjs';
import { Switch } from './lib/switch.mjs';
import { until } from './lib/wait.mjs';

const FAST = { redis: { backoff_min_ms: 20, backoff_max_ms: 100 }, hub: { reconcile_ms: 200 } };
const seq = (id) => Number(id.split('-')[1]);
const numbers = (list) => list.map((e) => e.payload.n);
const gaps = (stream) => stream.control('weft.gap').map((e) => e.data);

async function switchTo(w, port) {
  const s = await new Switch().start(port);
  w.atEnd(() => s.stop());
  return s;
}

// A master, a replica that follows it through a cable, and nodes that reach whichever is master by one address.
async function replicated(w, n) {
  const master = await w.redis();
  const folder = path.join(w.folder, 'replica');
  mkdirSync(folder);
  const cable = await switchTo(w, master.port);
  const replica = new Redis(folder);
  await replica.start({ args: ['--replicaof', '127.0.0.1', String(cable.port)] });
  w.stores.push(replica);
  await until(async () => (await replica.cmd('INFO', 'replication')).includes('master_link_status:up'), { what: 'the replica to be in sync' });
  const address = await switchTo(w, master.port);
  const nodes = [];
  for (let i = 0; i < n; i++) nodes.push(await w.node({ redis: address.url, set: FAST }));
  return {
    master, replica, nodes,
    async cut() {
      // What was acknowledged up to here is on the replica.
      await until(async () => {
        const offset = async (r) => /(?:master|slave)_repl_offset:(\d+)/.exec(await r.cmd('INFO', 'replication'))[1];
        return (await offset(master)) === (await offset(replica));
      }, { what: 'the replica to have everything' });
      cable.to(undefined);
    },
    async promote() {
      await replica.cmd('REPLICAOF', 'NO', 'ONE');
      address.to(replica.port);
    },
  };
}

// 100 replicated, cut, 5 more acknowledged and delivered, promotion, 8 more.
story('promotion of a replica that lacked the last five of 105', async (w) => {
  const r = await replicated(w, 2);
  const [a, b] = r.nodes;
  const api = w.client(a);
  const live = [await w.follow(a, 'topic=t'), await w.follow(b, 'topic=t'), await w.follow(a, 'topic=t&topic=other'), await w.follow(b, 'topic=*')];
  const other = await w.follow(b, 'topic=other');
  const ids = await api.published('t', events(1, 100));
  const [otherId] = await api.published('other', event(1000));
  for (const stream of live) await stream.until(() => stream.events.length >= 100, { what: 'the first hundred' });
  await r.cut();
  const lost = await api.published('t', events(101, 105));
  for (const stream of live) await stream.until(() => stream.events.at(-1)?.id === lost[4], { what: 'the five that will be lost' });
  await r.promote();
  for (const stream of [...live, other]) await stream.waitControl('weft.recovered', 1);
  const kept = await api.published('t', events(201, 208));
  assert.ok(seq(kept[0]) > seq(lost[4]), 'no number is used twice');

  for (const [i, stream] of live.entries()) {
    await stream.until(() => stream.events.at(-1)?.id === kept[7], { what: `the last event on live stream ${i}` });
    assert.ok(gaps(stream).length >= 1, `live stream ${i} is told`);
    for (const gap of gaps(stream)) assert.equal(gap.reason, 'reset');
    const t = stream.events.filter((e) => e.topic === 't');
    assert.deepEqual(numbers(t), [...Array(105).keys()].map((k) => k + 1).concat([201, 202, 203, 204, 205, 206, 207, 208]), `live stream ${i}`);
  }
  assert.deepEqual(other.control('weft.gap'), [], 'the other topic lost nothing');
  assert.deepEqual(other.events.map((e) => e.id), [otherId]);

  for (const node of r.nodes) {
    for (const id of lost) {
      const back = await w.follow(node, 'topic=t', { lastEventId: id });
      assert.deepEqual(numbers(await back.take(8)), [201, 202, 203, 204, 205, 206, 207, 208]);
      assert.deepEqual(gaps(back), [{ topic: 't', after: id, next: kept[0], reason: 'reset' }]);
      back.cut();
    }
    const survivor = await w.follow(node, 'topic=t', { lastEventId: ids[98] });
    assert.deepEqual(numbers(await survivor.take(9)), [100, 201, 202, 203, 204, 205, 206, 207, 208]);
    assert.deepEqual(survivor.control('weft.gap'), [], 'whoever has only what survived is told nothing');
  }
});

story('promotion, and nobody writes: those who had the lost event are told all the same', async (w) => {
  const r = await replicated(w, 1);
  const [a] = r.nodes;
  const api = w.client(a);
  const stream = await w.follow(a, 'topic=t');
  await api.published('t', events(1, 3));
  await r.cut();
  const [lost] = await api.published('t', event(4));
  await stream.take(4);
  await r.promote();
  await stream.waitControl('weft.gap', 1);
  assert.deepEqual(gaps(stream)[0], { topic: 't', after: lost, next: null, reason: 'reset' });
  const back = await w.follow(a, 'topic=t', { lastEventId: lost });
  await back.waitControl('weft.gap', 1);
  await api.published('t', event(5));
  for (const s of [stream, back]) {
    await s.until(() => s.events.at(-1)?.payload.n === 5, { what: 'what comes next' });
    assert.equal(s.control('weft.gap').length, 1);
  }
});

// The size of the newest part of the append-only file.
function aofTail(redis) {
  const folder = path.join(redis.folder, 'appendonlydir');
  const name = readdirSync(folder).filter((file) => file.endsWith('.incr.aof')).sort().at(-1);
  const file = path.join(folder, name);
  return { file, size: statSync(file).size };
}

story('a crash takes the end of the append-only file', async (w) => {
  const [a, b] = await w.cluster(2, { node: { set: FAST } });
  const api = w.client(a);
  const live = [await w.follow(a, 'topic=t'), await w.follow(b, 'topic=t')];
  const ids = await api.published('t', events(1, 20));
  const { file, size } = aofTail(w.store);
  const lost = await api.published('t', events(21, 25));
  for (const stream of live) await stream.take(25);
  await w.store.kill();
  truncateSync(file, size + 7); // in the middle of a command
  await w.store.restart();
  for (const stream of live) await stream.waitControl('weft.recovered', 1);
  const kept = await api.published('t', events(31, 33));
  for (const stream of live) {
    await stream.until(() => stream.events.at(-1)?.id === kept[2], { what: 'what comes after the crash' });
    assert.deepEqual(numbers(stream.events).slice(20), [21, 22, 23, 24, 25, 31, 32, 33]);
    assert.deepEqual(stream.control('weft.gap').map((e) => e.data.reason), ['reset']);
  }
  const back = await w.follow(b, 'topic=t', { lastEventId: lost[0] });
  assert.deepEqual(numbers(await back.take(3)), [31, 32, 33]);
  assert.equal(back.control('weft.gap').length, 1);
  const survivor = await w.follow(b, 'topic=t', { lastEventId: ids[19] });
  assert.deepEqual(numbers(await survivor.take(3)), [31, 32, 33]);
  assert.deepEqual(survivor.control('weft.gap'), []);
});

story('ten restarts that lose nothing: nobody is told of a loss, from whichever of them the cursor is', async (w) => {
  const [a] = await w.cluster(1, { node: { set: FAST } });
  const api = w.client(a);
  const live = await w.follow(a, 'topic=t');
  const ids = [];
  for (let round = 1; round <= 10; round++) {
    ids.push(...(await api.published('t', events(round, round))));
    await live.take(round);
    await w.store.restart();
    await live.waitControl('weft.recovered', round);
  }
  ids.push(...(await api.published('t', event(11))));
  await live.take(11);
  assert.deepEqual(live.control('weft.gap'), []);
  for (let i = 0; i < 10; i++) {
    const back = await w.follow(a, 'topic=t', { lastEventId: ids[i] });
    assert.deepEqual((await back.take(10 - i)).map((e) => e.id), ids.slice(i + 1));
    assert.deepEqual(back.control('weft.gap'), []);
    back.cut();
  }
});

story('within redis.stale_ms a server that is behind the cursor is asked again, and nobody is told of a loss', async (w) => {
  const [node] = await w.cluster(1, { node: { set: { redis: { stale_ms: 600_000 } } } });
  const [id] = await w.client(node).published('t', event(1));
  const stream = w.stream(node, 'topic=t', { lastEventId: `${id.split('-')[0]}-${seq(id) + 1e9}` });
  await stream.answered();
  await node.logged('redis.stale');
  const reads = await node.metric('weft_replay_reads_total');
  await node.metricReaches('weft_replay_reads_total', (n) => n > reads + 2);
  assert.deepEqual(gaps(stream), []);
});

story('everything is flushed under a living stream: told without a next event, and without a reconnect', async (w) => {
  const [a] = await w.cluster(1, { node: { set: FAST } });
  const api = w.client(a);
  const stream = await w.follow(a, 'topic=t');
  const ids = await api.published('t', events(1, 50));
  await stream.take(50);
  await w.store.cmd('FLUSHALL');
  await stream.waitControl('weft.gap', 1);
  assert.deepEqual(gaps(stream)[0], { topic: 't', after: ids[49], next: null, reason: 'reset' });
  await until(async () => (await api.publish('t', event(51))).status === 201, { what: 'a publish to be taken' });
  await stream.until(() => stream.events.length > 50, { what: 'an event of the new history' });
  for (const id of [ids[0], ids[49]]) {
    const back = await w.follow(a, 'topic=t', { lastEventId: id });
    assert.deepEqual(numbers(await back.take(1)), [51]);
    assert.equal(gaps(back)[0].reason, 'reset');
    back.cut();
  }
});

story('flushed and overtaken before anybody looks: known by when the history was born', async (w) => {
  const [a] = await w.cluster(1, { node: { set: FAST } });
  const api = w.client(a);
  const stream = await w.follow(a, 'topic=t');
  await api.published('t', events(1, 3));
  await stream.take(3);
  // Without live messages, so that nothing but the comparison can tell.
  await w.store.cmd('EVAL', `
    redis.call('DEL', 'weft:{0}:head', 'weft:{0}:topics', 'weft:{0}:log:t')
    return 1`, '0');
  await w.store.unheard('t', 11, 15);
  await stream.until(() => stream.events.at(-1)?.payload.n === 15, { what: 'the events of the new history' });
  assert.deepEqual(numbers(stream.events), [1, 2, 3, 11, 12, 13, 14, 15]);
  assert.deepEqual(stream.control('weft.gap').map((e) => e.data.reason), ['reset']);
});
