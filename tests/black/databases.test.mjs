// Two databases of one Redis are two fabrics: Redis's channels know no databases, so the nodes keep them apart by name.
import assert from 'node:assert/strict';
import { story } from './lib/story.mjs';
import { event, events } from './lib/http.mjs';
import { until } from './lib/wait.mjs';

function inDatabase(w, n) {
  return w.node({ redis: `${w.store.url}${w.store.url.startsWith('unix:') ? '?db=' : '/'}${n}`, set: { hub: { reconcile_ms: 100 } } });
}

story('events, breakers, buckets and revocations of one database are none of the other', async (w) => {
  await w.redis();
  const nodes = [await inDatabase(w, 0), await inDatabase(w, 1)];
  const [zero, one] = nodes.map((node) => w.client(node));
  const streams = await Promise.all(nodes.map((node) => w.follow(node, 'topic=t&topic=*')));
  await one.published('t', events(1, 3));
  const put = (api, path, body = {}) => api.send('PUT', path, { body: JSON.stringify(body) });
  assert.equal((await put(one, '/api/breakers/b')).status, 201);
  assert.equal((await put(one, '/api/limits/b', { capacity: 1, refill_per_s: 1 })).status, 201);
  assert.equal((await put(one, '/api/revocations/jti')).status, 200);
  await zero.published('t', events(11, 12));
  await one.published('t', event(4));
  assert.deepEqual((await streams[0].take(2)).map((e) => e.payload.n), [11, 12]);
  assert.deepEqual((await streams[1].take(4)).map((e) => e.payload.n), [1, 2, 3, 4]);
  for (const stream of streams) assert.deepEqual(stream.control('weft.gap'), []);
  assert.equal((await zero.get('/api/breakers/b')).status, 404);
  assert.equal((await zero.get('/api/limits/b')).status, 404);
  // The other's revocation has reached its own node; this one has none.
  await until(async () => (await nodes[1].metric('weft_revoked_tokens')) === 1, { what: 'the revocation' });
  assert.equal(await nodes[0].metric('weft_revoked_tokens'), 0);
  assert.equal(await nodes[0].metric('weft_history_changes_total'), 0);
});

story('a breaker of the same name has two states', async (w) => {
  await w.redis();
  const nodes = [await inDatabase(w, 0), await inDatabase(w, 1)];
  const apis = nodes.map((node) => w.client(node));
  for (const api of apis) assert.equal((await api.send('PUT', '/api/breakers/pay', { body: '{}' })).status, 201);
  assert.equal((await apis[0].send('POST', '/api/breakers/pay/acquire')).json.allowed, true);
  assert.equal((await apis[1].send('POST', '/api/breakers/pay/force', { body: '{"state":"open"}' })).status, 200);
  await until(async () => !(await apis[1].send('POST', '/api/breakers/pay/acquire')).json.allowed, { what: 'it to be open' });
  // What the other node was told came by the same Redis before this.
  await apis[0].send('PUT', '/api/breakers/later', { body: '{}' });
  assert.equal((await apis[0].send('POST', '/api/breakers/pay/acquire')).json.allowed, true);
});
