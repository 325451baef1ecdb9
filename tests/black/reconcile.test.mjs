// Live messages are lost on the way, and no further one comes that would show it: each node finds out by itself
// what it lacks and reads it from the log. Nobody is told of a gap, since there is none.
import assert from 'node:assert/strict';
import { story } from './lib/story.mjs';
import { event, events } from './lib/http.mjs';

const FAST = { hub: { reconcile_ms: 200 } };
const numbers = (list) => list.map((e) => e.payload.n);

story('the last message of a topic is lost', async (w) => {
  const nodes = await w.cluster(2, { node: { set: FAST } });
  const api = w.client(nodes[0]);
  const streams = [];
  for (const node of nodes) {
    for (const query of ['topic=t', 'topic=t&topic=quiet', 'topic=*', 'topic=t*&topic=quiet']) streams.push(await w.follow(node, query));
  }
  await api.published('t', events(1, 3));
  for (const stream of streams) await stream.take(3);
  await w.store.unheard('t', 4, 6);
  for (const stream of streams) {
    assert.deepEqual(numbers(await stream.take(6)), [1, 2, 3, 4, 5, 6]);
    assert.deepEqual(stream.control('weft.gap'), []);
    assert.deepEqual(stream.control('weft.degraded'), []);
  }
  for (const node of nodes) assert.ok((await node.metric('weft_live_repaired_total')) >= 1);
  await api.published('t', events(7, 8));
  for (const stream of streams) assert.deepEqual(numbers(await stream.take(8)), [1, 2, 3, 4, 5, 6, 7, 8]);
});

story('the first event of a topic is lost, of a thousand that are followed', async (w) => {
  const [node] = await w.cluster(1, { node: { set: FAST } });
  const topics = [...Array(100).keys()].map((n) => `q:${n}`);
  const streams = [];
  for (let i = 0; i < 10; i++) streams.push(await w.follow(node, topics.map((t) => `topic=${t}:${i}`).join('&')));
  await w.store.unheard('q:77:3', 1, 2);
  assert.deepEqual(numbers(await streams[3].take(2)), [1, 2]);
  assert.ok((await node.metric('weft_live_repaired_total')) >= 1);
  assert.deepEqual(streams[4].events, []);
});

story('nothing is lost: nothing is repaired', async (w) => {
  const [node] = await w.cluster(1, { node: { set: { hub: { reconcile_ms: 50 } } } });
  const api = w.client(node);
  const streams = [await w.follow(node, 'topic=t'), await w.follow(node, 'topic=*')];
  for (let n = 1; n <= 500; n++) await api.published('t', event(n));
  for (const stream of streams) await stream.take(500);
  assert.equal(await node.metric('weft_live_repaired_total'), 0);
  assert.equal(await node.metric('weft_chain_breaks_total'), 0);
});
