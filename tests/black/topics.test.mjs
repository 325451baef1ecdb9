// The list of topics: every topic that ever had an event, in pages by name, with the sequence of its newest one.
import assert from 'node:assert/strict';
import { story } from './lib/story.mjs';
import { event } from './lib/http.mjs';

async function everything(api, query) {
  const all = [];
  let after = '';
  for (let turn = 0; turn < 1000; turn++) {
    const { json, status, text } = await api.get(`/api/topics?${query}${after}`);
    assert.equal(status, 200, text);
    all.push(...json.topics);
    if (json.next === null) return all;
    after = `&after=${encodeURIComponent(json.next)}`;
  }
  throw new Error('the pages do not end');
}

story('all topics, in pages, once each', async (w) => {
  const [node] = await w.cluster();
  const api = w.client(node);
  assert.deepEqual((await api.get('/api/topics')).json, { topics: [], next: null });
  const names = Array.from({ length: 60 }, (_, i) => (i % 3 ? `repo:${i}` : `orders.${i}`));
  const seqs = new Map();
  for (const name of names) {
    const [id] = await api.published(name, event(0));
    seqs.set(name, Number(id.split('-')[1]));
  }
  const [again] = await api.published(names[5], event(1));
  seqs.set(names[5], Number(again.split('-')[1]));
  for (const limit of [7, 60, 1000]) {
    const listed = await everything(api, `limit=${limit}`);
    assert.deepEqual(listed.map((t) => t.topic).sort(), [...names].sort(), `limit ${limit}`);
    assert.deepEqual(new Map(listed.map((t) => [t.topic, t.last_seq])), new Map(listed.map((t) => [t.topic, seqs.get(t.topic)])));
  }
  const repos = await everything(api, 'prefix=repo:&limit=9');
  assert.deepEqual(repos.map((t) => t.topic).sort(), names.filter((n) => n.startsWith('repo:')).sort());
  assert.deepEqual(await everything(api, 'prefix=none'), []);
});

story('a page has 100 topics unless asked', async (w) => {
  const [node] = await w.cluster();
  const api = w.client(node);
  await api.published('x', Array.from({ length: 150 }, (_, i) => event(i, { topics: [`t${i}`] })));
  const { json } = await api.get('/api/topics');
  assert.equal(json.topics.length, 100);
  assert.equal(typeof json.next, 'string');
  assert.equal((await everything(api, '')).length, 150);
});
