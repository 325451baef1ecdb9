// Reading back. Someone wants to know what happened: the log of a topic can be read in pages, forwards and
// backwards, and every page shows the same events, in the same form, as the stream did.
import assert from 'node:assert/strict';
import { story } from './lib/story.mjs';
import { events } from './lib/http.mjs';

async function pages(api, topic, query, key) {
  const all = [];
  let at = '';
  for (let turn = 0; turn < 100; turn++) {
    const { json, status } = await api.get(`/api/topics/${topic}/events?${query}${at}`);
    assert.equal(status, 200);
    all.push(...json.events);
    if (json.next === null) return all;
    at = `&${key}=${json.next}`;
  }
  throw new Error('the pages do not end');
}

story('a topic in pages, forwards and backwards', async (w) => {
  const [node] = await w.cluster();
  const api = w.client(node);
  const ids = await api.published('t', events(1, 250));
  await api.published('other', events(1, 10));
  for (const limit of [7, 100, 250, 1000]) {
    const up = await pages(api, 't', `limit=${limit}`, 'after');
    assert.deepEqual(up.map((e) => e.id), ids, `limit ${limit}`);
    const down = await pages(api, 't', `order=desc&limit=${limit}`, 'before');
    assert.deepEqual(down.map((e) => e.id), [...ids].reverse(), `limit ${limit}, backwards`);
  }
  const first = await api.get('/api/topics/t/events');
  assert.equal(first.json.events.length, 100, 'a page has 100 unless asked');
  assert.equal(first.headers['cache-control'], 'no-store');
});

story('after and before are both exclusive, and cut a window', async (w) => {
  const [node] = await w.cluster();
  const api = w.client(node);
  const ids = await api.published('t', events(1, 20));
  const read = async (query) => (await api.get(`/api/topics/t/events?${query}`)).json.events.map((e) => e.id);
  assert.deepEqual(await read(`after=${ids[4]}`), ids.slice(5));
  assert.deepEqual(await read(`before=${ids[4]}`), ids.slice(0, 4));
  assert.deepEqual(await read(`after=${ids[4]}&before=${ids[9]}`), ids.slice(5, 9));
  assert.deepEqual(await read(`after=${ids[4]}&before=${ids[9]}&order=desc`), ids.slice(5, 9).reverse());
  assert.deepEqual(await read(`after=${ids[4]}&before=${ids[9]}&limit=2`), ids.slice(5, 7));
  assert.deepEqual(await read(`after=${ids[4]}&before=${ids[9]}&limit=2&order=desc`), [ids[8], ids[7]]);
  assert.deepEqual(await read(`after=${ids[19]}`), []);
  assert.deepEqual(await read(`before=${ids[0]}`), []);
});

story('history, stream and long-poll show the same object', async (w) => {
  const [node] = await w.cluster();
  const api = w.client(node);
  const stream = await w.follow(node, 'topic=t');
  const cursor = stream.all[0].id;
  await api.published('t', [{ type: 'a', ts: 5, repo_id: 'r', payload: { text: 'ünï "\\\n', deep: [{}] } }, { type: 'b' }]);
  const live = await stream.take(2);
  const history = (await api.get('/api/topics/t/events')).json.events;
  const polled = (await api.poll(`topic=t&lastEventId=${cursor}`)).json.events;
  assert.deepEqual(history, live);
  assert.deepEqual(polled, live);
});

story('a topic tells its length and its ends', async (w) => {
  const [node] = await w.cluster();
  const api = w.client(node);
  const ids = await api.published('t', events(1, 10));
  await w.store.cli('XTRIM', 'weft:{0}:log:t', 'MAXLEN', '=', '4');
  const { json, status } = await api.get('/api/topics/t');
  assert.equal(status, 200);
  assert.equal(json.topic, 't');
  assert.equal(json.length, 4);
  assert.equal(json.first_id, ids[6]);
  assert.equal(json.last_id, ids[9]);
  assert.equal(json.last_seq, 10);
  assert.equal((await api.get('/api/topics/never')).status, 404);
});

story('HEAD is GET without the body', async (w) => {
  const [node] = await w.cluster();
  const api = w.client(node);
  await api.published('t', events(1, 3));
  const head = await api.send('HEAD', '/api/topics/t');
  assert.equal(head.status, 200);
  assert.equal(head.text, '');
  assert.match(String(head.headers['content-type']), /json/);
});
