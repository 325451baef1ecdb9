// An open stream, and what may be wanted of it on any node: other topics, another token, its end; and tokens that are
// revoked. Nothing is lost, repeated or out of order over all of it, and the connection stays.
import assert from 'node:assert/strict';
import { story } from './lib/story.mjs';
import { event, events } from './lib/http.mjs';
import { bearer, Issuer } from './lib/token.mjs';
import { QUICK, until } from './lib/wait.mjs';

async function locked(w, n = 2, auth = {}) {
  const issuer = new Issuer(w.folder);
  const nodes = await w.cluster(n, { node: { set: { auth: { anonymous: 'none', jwks: issuer.file, leeway_s: 0, ...auth } } } });
  return { issuer, nodes, apis: nodes.map((node) => w.client(node)) };
}

const nameOf = async (stream) => (await stream.waitControl('weft.open')).data.stream;
const json = (body) => ({ body: JSON.stringify(body), headers: { 'content-type': 'application/json' } });

function ask(api, method, path, body, token) {
  return api.send(method, path, { body: body && JSON.stringify(body), headers: { 'content-type': 'application/json', ...(token && bearer(token)) } });
}

async function publish(api, topic, token, list) {
  const answer = await ask(api, 'POST', `/api/topics/${topic}/events`, list, token);
  assert.equal(answer.status, 201, answer.text);
  return answer.json.ids;
}

story('topics are added and removed on any node, and events come in order, once', async (w) => {
  const nodes = await w.cluster(2);
  const apis = nodes.map((node) => w.client(node));
  const seen = new Set();
  const stream = await w.follow(nodes[0], 'topic=a', { onEvent: (e) => seen.add(e.id) });
  const name = await nameOf(stream);
  const change = (i, body) => apis[i].send('POST', `/api/streams/${name}/topics`, json(body));
  const expected = [];
  const all = new Set(['a']);
  const random = w.random();
  for (let round = 0; round < (QUICK ? 20 : 100); round++) {
    const topic = random.pick([...'abcd']);
    const adds = !all.has(topic);
    if (adds || all.size > 1) {
      const answer = await change(round % 2, adds ? { add: [topic] } : { remove: [topic] });
      assert.equal(answer.status, 200, answer.text);
      if (adds) all.add(topic); else all.delete(topic);
      assert.deepEqual(answer.json.topics, [...all].sort());
    }
    for (const t of 'abcd') {
      const ids = await apis[1 - (round % 2)].published(t, [event(round)]);
      if (all.has(t)) expected.push(...ids);
    }
    await until(() => expected.every((id) => seen.has(id)), { what: `the events of round ${round}` });
  }
  // A topic that is new to the stream brings what it had after the stream's cursor, and that is all of it.
  const got = stream.events.map((e) => e.id);
  assert.equal(new Set(got).size, got.length, 'nothing twice');
  assert.deepEqual(expected.filter((id) => !got.includes(id)), [], 'nothing lost');
  const seq = (id) => Number(id.split('-')[1]);
  assert.deepEqual(got, [...got].sort((x, y) => seq(x) - seq(y)), 'in order');
  assert.equal(stream.all.filter((e) => e.type === 'weft.open').length, 1);
  assert.ok(stream.all.some((e) => e.type === 'weft.topics'));
  for (const [body, field] of [[{}, 'add'], [{ add: ['x y'] }, 'add'], [{ remove: [...all] }, 'remove'], [{ add: 'a' }, 'add'], [{ topics: ['a'] }, 'topics']]) {
    const answer = await change(1, body);
    assert.equal(answer.status, 400, answer.text);
    assert.equal(answer.json.error.field, field, answer.text);
  }
});

story('a name that is none, of a stream that is gone, of a node that is gone: 404', async (w) => {
  const nodes = await w.cluster(2);
  const [a, b] = nodes.map((node) => w.client(node));
  const stream = await w.follow(nodes[0], 'topic=t');
  const name = await nameOf(stream);
  const status = async (api, n) => (await api.get(`/api/streams/${n}`)).status;
  assert.equal(await status(b, name), 200);
  for (const wrong of ['x', 'a-0-0', `${name}0`, name.replace(/.$/, (c) => (c === '0' ? '1' : '0')), name.replace(/^a-\d+/, 'a-63'), name.replace(/^a/, 'nobody')]) {
    assert.equal(await status(b, wrong), 404, wrong);
  }
  assert.equal((await a.send('DELETE', `/api/streams/${name}`)).status, 204);
  assert.equal((await stream.waitControl('weft.closed')).data.reason, 'closed');
  await stream.closed;
  await until(async () => await status(b, name) === 404, { what: 'the stream to be gone' });
});

story('a token is renewed ten times on one connection while events come: none is lost, and nothing reconnects', async (w) => {
  const { issuer, nodes, apis } = await locked(w);
  const give = (seconds, grants) => issuer.token({ sub: 'anna', seconds, publish: ['t'], subscribe: ['t'], ...grants });
  const stream = await w.follow(nodes[0], 'topic=t', { headers: bearer(give(3)) });
  const name = await nameOf(stream);
  const writer = give(600);
  const sent = [];
  for (let round = 0; round < 10; round++) {
    sent.push(...await publish(apis[round % 2], 't', writer, events(round * 10 + 1, round * 10 + 10)));
    const token = give(round < 9 ? 3 : 600);
    const answer = round % 2 === 0 ? await ask(apis[1], 'POST', `/api/streams/${name}/token`, { token }, undefined) : await ask(apis[0], 'POST', `/api/streams/${name}/token`, undefined, token);
    assert.equal(answer.status, 200, answer.text);
    assert.ok(answer.json.expires_ms > Date.now());
    await until(() => stream.all.filter((e) => e.type === 'weft.renewed').length === round + 1, { what: 'weft.renewed' });
    await until(() => stream.all.some((e) => e.type === 'weft.expiring'), { what: 'weft.expiring' });
  }
  assert.deepEqual((await stream.take(100)).map((e) => e.id), sent);
  assert.ok(!stream.ended && !stream.all.some((e) => e.type === 'weft.expired'));

  // Not by another one, not for less, and not with a token that is no good.
  for (const [token, status, field] of [[issuer.token({ sub: 'bob', subscribe: ['t'] }), 403, 'stream'], [give(600, { subscribe: ['u'] }), 403, 'token'], [`${give(600)}x`, 401, 'token']]) {
    const answer = await ask(apis[1], 'POST', `/api/streams/${name}/token`, { token }, undefined);
    assert.equal(answer.status, status, answer.text);
    assert.equal(answer.json.error.field, field);
  }
  assert.equal((await ask(apis[0], 'POST', `/api/streams/${name}/topics`, { add: ['u'] }, give(600))).json.error.field, 'add');
  assert.equal((await ask(apis[1], 'DELETE', `/api/streams/${name}`, undefined, issuer.token({ sub: 'bob' }))).status, 403);
  assert.equal((await ask(apis[1], 'DELETE', `/api/streams/${name}`, undefined, issuer.token({ sub: 'bob', roles: ['operator'] }))).status, 204);
  await stream.waitControl('weft.closed');
});

story('a revoked token is no good on any node at once, nor are its streams; the others stay', async (w) => {
  const { issuer, nodes, apis } = await locked(w, 3, { revoked_check_ms: 100 });
  const operator = issuer.token({ roles: ['operator'] });
  const [mine, other] = ['mine', 'a "strange" jti / %'].map((jti) => issuer.token({ jti, subscribe: ['t'], publish: ['t'] }));
  const follow = (token) => Promise.all(nodes.map((node) => w.follow(node, 'topic=t', { headers: bearer(token) })));
  const ended = await follow(mine);
  const alive = await follow(other);
  const polls = apis.map((api) => api.send('GET', '/api/events?topic=t&since=-1s', { headers: { accept: 'application/json', ...bearer(mine) } }));
  const began = performance.now();
  const revoke = await ask(apis[1], 'PUT', '/api/revocations/mine', {}, operator);
  assert.deepEqual([revoke.status, revoke.json], [200, { jti: 'mine', until_ms: null }]);
  for (const stream of ended) {
    assert.equal((await stream.waitControl('weft.expired')).data.reason, 'revoked');
    await stream.closed;
  }
  w.note(`${(performance.now() - began).toFixed(0)} ms after the revocation was sent, its streams on 3 nodes had ended`);
  for (const polled of polls) assert.ok([200, 401].includes((await polled).status));
  for (const api of apis) assert.equal((await ask(api, 'GET', '/api/topics/t', undefined, mine)).status, 401);
  const ids = await publish(apis[0], 't', other, [event(1)]);
  for (const stream of alive) assert.equal((await stream.take(1))[0].id, ids[0]);

  // A node that starts later knows it as well, and one that missed the message.
  const late = w.client(await w.node({ set: { auth: { anonymous: 'none', jwks: issuer.file } } }));
  await until(async () => (await ask(late, 'GET', '/api/topics/t', undefined, mine)).status === 401, { what: 'the list' });
  await w.store.cmd('ZADD', 'weft:{revoked}', String(Date.now() + 600_000), 'a "strange" jti / %');
  await w.store.cmd('INCR', 'weft:{revoked}:version');
  for (const stream of alive) await stream.waitControl('weft.expired');

  const soon = await ask(apis[0], 'PUT', '/api/revocations/mine', { until_ms: Date.now() + 60_000 }, operator);
  assert.deepEqual(soon.json, { jti: 'mine', until_ms: null }, 'it keeps the later end');
  const list = await ask(apis[2], 'GET', '/api/revocations', undefined, operator);
  assert.deepEqual(list.json.revocations.map((r) => r.jti).sort(), ['a "strange" jti / %', 'mine']);
  assert.equal((await ask(apis[2], 'DELETE', '/api/revocations/mine', undefined, operator)).status, 204);
  assert.equal((await ask(apis[2], 'DELETE', '/api/revocations/mine', undefined, operator)).status, 404);
  for (const api of [...apis, late]) await until(async () => (await ask(api, 'GET', '/api/topics/t', undefined, mine)).status === 200, { what: 'it to be good again' });
  assert.equal((await ask(apis[0], 'PUT', '/api/revocations/x', {}, other)).status, 401);
  assert.equal((await ask(apis[0], 'PUT', '/api/revocations/x', { until_ms: -1 }, operator)).json.error.field, 'until_ms');
});

story('a revoked token ends its WebSocket and its waiting poll', async (w) => {
  const { issuer, nodes: [node], apis: [api] } = await locked(w, 1);
  const mine = issuer.token({ jti: 'mine', subscribe: ['t'] });
  const ws = await w.ws(node, { headers: bearer(mine) });
  await ws.subscribe('t');
  const poll = api.send('GET', '/api/events?topic=t&since=-1s', { headers: { accept: 'application/json', ...bearer(mine) } });
  await node.metricReaches('weft_subscribers', 2);
  assert.equal((await ask(api, 'PUT', '/api/revocations/mine', {}, issuer.token({ roles: ['operator'] }))).status, 200);
  assert.deepEqual(await ws.ending(), { code: 4401, reason: 'revoked' });
  assert.equal(ws.control('weft.expired')[0].reason, 'revoked');
  const polled = await poll;
  assert.deepEqual([polled.status, polled.json.error?.field], [401, 'token'], polled.text);
  assert.match(polled.json.error.message, /revoked/);
});

story('a token that is revoked until its `exp` is no good in the leeway after it either', async (w) => {
  const { issuer, apis } = await locked(w, 2, { leeway_s: 300 });
  const operator = issuer.token({ roles: ['operator'] });
  const statuses = (token) => Promise.all(apis.map(async (api) => (await ask(api, 'GET', '/api/topics', undefined, token)).status));
  for (const [jti, seconds] of [['in the leeway', -60], ['before it', 600]]) {
    const exp = Math.floor(Date.now() / 1000) + seconds;
    const token = issuer.token({ jti, exp, subscribe: ['*'] });
    assert.deepEqual(await statuses(token), [200, 200]);
    const revoke = await ask(apis[0], 'PUT', `/api/revocations/${encodeURIComponent(jti)}`, { until_ms: exp * 1000 }, operator);
    assert.deepEqual([revoke.status, revoke.json], [200, { jti, until_ms: (exp + 300) * 1000 }]);
    await until(async () => (await statuses(token)).every((status) => status === 401), { what: `the token ${jti} to be refused` });
    assert.equal(await w.store.cmd('ZSCORE', 'weft:{revoked}', jti), String((exp + 300) * 1000));
  }
  // The greatest time there is stays for ever.
  const last = await ask(apis[0], 'PUT', '/api/revocations/x', { until_ms: 9007199254740991 - 1 }, operator);
  assert.deepEqual(last.json, { jti: 'x', until_ms: null });
});

story('the list of revoked tokens is bounded, and forgets what is over', async (w) => {
  const { issuer, apis: [api] } = await locked(w, 1, { revoked_max: 3 });
  const operator = issuer.token({ roles: ['operator'] });
  const put = async (jti, until) => (await ask(api, 'PUT', `/api/revocations/${jti}`, until ? { until_ms: until } : {}, operator)).status;
  for (const jti of ['a', 'b']) assert.equal(await put(jti), 200);
  assert.equal(await put('c', Date.now() + 1500), 200);
  const before = await w.store.fingerprint();
  const full = await ask(api, 'PUT', '/api/revocations/d', {}, operator);
  if (full.status === 409) {
    assert.equal(full.json.error.code, 'full');
    assert.equal(await w.store.fingerprint(), before);
  }
  await until(async () => await put('d') === 200, { what: 'room' });
  assert.deepEqual((await w.store.cmd('ZRANGE', 'weft:{revoked}', '0', '-1')).sort(), ['a', 'b', 'd']);
});

story('a stream that was closed before it knew where it begins names no cursor to resume with', async (w) => {
  const [node] = await w.cluster();
  const api = w.client(node);
  await w.store.stop();
  for (const since of ['earliest', '-5m']) {
    const stream = await w.follow(node, `topic=t&since=${since}`);
    const open = await stream.waitControl('weft.open');
    assert.equal(open.data.cursor, null);
    assert.equal((await api.send('DELETE', `/api/streams/${open.data.stream}`)).status, 204);
    const closed = await stream.waitControl('weft.closed');
    assert.deepEqual(closed.data, { reason: 'closed', cursor: null });
    await stream.closed;
    assert.equal(stream.lastId, '');
  }
});

story('more and longer topics than one message has room for: refused, or told whole', async (w) => {
  const [node] = await w.cluster(1, { node: { set: { http: { max_topics: 10_000 }, ws: { max_message_bytes: 2_097_152 } } } });
  const api = w.client(node);
  const long = (i) => `${i}`.padStart(200, 'x');
  const batch = (n, count) => Array.from({ length: count }, (_, i) => long(n * count + i));
  const stream = await w.follow(node, 'topic=t');
  const name = await nameOf(stream);
  const add = (topics) => ask(api, 'POST', `/api/streams/${name}/topics`, { add: topics });
  const first = await add(batch(0, 600));
  assert.equal(first.status, 200, first.text);
  assert.equal(first.json.topics.length, 601);
  const told = await stream.waitControl('weft.topics');
  assert.deepEqual(told.data.topics, ['t', ...batch(0, 600)].sort());
  const second = await add(batch(1, 600));
  assert.equal(second.status, 400, second.text);
  assert.equal(second.json.error.field, 'add');
  for (const topic of ['t', long(0), long(599)]) {
    const [id] = await api.published(topic, [event(1)]);
    await stream.until((s) => s.events.some((e) => e.id === id), { what: `the event of ${topic.slice(-5)}` });
  }

  const ws = await w.ws(node);
  const open = await ws.subscribe(batch(0, 6000));
  assert.equal(open.topics.join(' '), batch(0, 6000).sort().join(' '));
  const [id] = await api.published(long(5999), [event(1)]);
  await ws.until(() => ws.events.some((e) => e.id === id), { what: 'an event of the last topic' });
  const added = await ws.ask('topics', { add: ['t'] });
  assert.deepEqual([added.code, added.field], ['invalid', 'add'], JSON.stringify(added).slice(0, 300));
});
