// Tokens: who may do what, from where a token is taken, and what becomes of streams when it ends, is renewed or revoked.
import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import path from 'node:path';
import { story } from './lib/story.mjs';
import { bin, cleanEnv } from './lib/node.mjs';
import { event } from './lib/http.mjs';
import { bearer, Issuer } from './lib/token.mjs';
import { run } from './lib/process.mjs';
import { SLOW, until } from './lib/wait.mjs';

// A node that takes tokens of this issuer, and lets nobody in without.
async function locked(w, n = 1, { anonymous = 'none', alg, set = {}, ...auth } = {}) {
  const issuer = new Issuer(w.folder, alg);
  const nodes = await w.cluster(n, { node: { set: { auth: { anonymous, jwks: issuer.file, ...auth }, ...set } } });
  return { issuer, nodes, node: nodes[0], api: w.client(nodes[0]) };
}

const publish = (api, topic, headers, body = event(1)) => api.send('POST', `/api/topics/${topic}/events`, { headers: { 'content-type': 'application/json', ...headers }, body: JSON.stringify(body) });

function refused(answer, status, field, text = /./) {
  assert.equal(answer.status, status, answer.text);
  assert.match(answer.headers['content-type'], /problem/);
  assert.equal(answer.json.error.field ?? '', field, answer.text);
  assert.match(answer.json.error.message, text);
}

story('a node of which nobody could make use does not start, and says why', async (w) => {
  await w.redis();
  const args = ['--listen', '127.0.0.1:0', '--redis', w.store.url];
  const how = await run(bin('weftd'), args, { env: cleanEnv() });
  assert.notEqual(how.code, 0);
  assert.match(how.stderr, /auth\.jwks.*WEFT_JWKS.*WEFT_ANONYMOUS/s);
  const wrong = await run(bin('weftd'), [...args, '--set', 'auth.jwks=/nowhere/jwks.json'], { env: cleanEnv() });
  assert.notEqual(wrong.code, 0);
  assert.match(wrong.stderr, /auth\.jwks/);
});

story('a token is taken from header, query and cookie; its grants decide, topic by topic', async (w) => {
  const { issuer, node, api } = await locked(w);
  const token = issuer.token({ publish: ['orders', 'repo:*'], subscribe: ['repo:*'] });
  refused(await publish(api, 'orders', {}), 401, '', /needs a token/);
  assert.equal((await publish(api, 'orders', bearer(token))).status, 201);
  assert.equal((await publish(api, 'repo:7', { cookie: `a=b; weft_token=${token}; c=d` })).status, 201);
  for (const name of ['token', 'access_token']) {
    assert.equal((await api.get(`/api/topics/repo:7/events?${name}=${token}`)).status, 200, name);
  }
  refused(await publish(api, 'secret', bearer(token)), 403, 'topic');
  refused(await publish(api, 'orders', bearer(token), [event(1), { ...event(2), topics: ['orders', 'secret'] }]), 403, '[1].topics');
  refused(await api.send('GET', '/api/topics/orders/events', { headers: bearer(token) }), 403, 'topic');
  refused(await api.send('GET', '/api/events?topic=repo:1&topic=orders', { headers: { accept: 'application/json', ...bearer(token) } }), 403, 'topic');
  refused(await api.send('GET', '/api/events?topic=re*', { headers: { accept: 'application/json', ...bearer(token) } }), 403, 'topic');
  refused(await api.send('GET', '/api/topics', { headers: bearer(token) }), 403, 'prefix');
  assert.deepEqual((await api.send('GET', '/api/topics?prefix=repo:', { headers: bearer(token) })).json.topics.map((t) => t.topic), ['repo:7']);
  assert.equal(await w.store.cmd('EXISTS', 'weft:{0}:log:secret'), 0);

  // Who shows a token that is no good is not taken for one without a token.
  const open = w.client(await w.node({ set: { auth: { anonymous: 'all', jwks: issuer.file } } }));
  const answer = await publish(open, 'orders', bearer(`${token}x`));
  refused(answer, 401, 'token');
  assert.match(answer.headers['www-authenticate'], /^Bearer .*error="invalid_token"/);
  assert.equal((await publish(open, 'orders', {})).status, 201);

  const stream = await w.follow(node, 'topic=repo:*', { headers: bearer(token) });
  const [id] = (await publish(api, 'repo:8', bearer(token))).json.ids;
  assert.equal((await stream.take(1))[0].id, id);
});

story('keys and producers of a topic are for those who may publish to it, wherever their events go', async (w) => {
  const { issuer, node, api } = await locked(w);
  const token = issuer.token({ publish: ['mine'] });
  const elsewhere = { ...event(1), topics: ['mine'] };
  const before = await w.store.fingerprint();
  for (const headers of [{}, { 'idempotency-key': 'k' }, { 'producer-id': 'p', 'producer-epoch': '9', 'producer-seq': '1' }]) {
    refused(await publish(api, 'theirs', { ...bearer(token), ...headers }, elsewhere), 403, 'topic');
  }
  const ws = await w.ws(node, { headers: bearer(token) });
  const answer = await ws.ask('publish', { topic: 'theirs', event: elsewhere, key: 'k' });
  assert.deepEqual([answer.code, answer.field], ['forbidden', 'topic'], JSON.stringify(answer));
  assert.equal(await w.store.fingerprint(), before);
  const both = bearer(issuer.token({ publish: ['mine', 'theirs'] }));
  assert.equal((await publish(api, 'theirs', { ...both, 'idempotency-key': 'k' }, elsewhere)).status, 201);
});

story('administration needs the role operator', async (w) => {
  const { issuer, api } = await locked(w);
  const user = bearer(issuer.token({ publish: ['*'], subscribe: ['*'] }));
  const operator = bearer(issuer.token({ roles: ['operator'] }));
  const put = (headers) => api.send('PUT', '/api/breakers/b', { headers, body: '{}' });
  refused(await put(user), 403, '', /operator/);
  assert.equal((await put(operator)).status, 201);
  refused(await api.send('GET', '/api/connections', { headers: user }), 403, '', /operator/);
  assert.equal((await api.send('GET', '/api/connections', { headers: operator })).status, 200);
  assert.equal((await api.send('GET', '/api/breakers', { headers: user })).status, 200);
  assert.equal((await api.send('POST', '/api/breakers/b/acquire', { headers: user })).status, 200);
  refused(await publish(api, 't', operator), 403, '');
  assert.equal((await api.send('GET', '/api/topics', { headers: operator })).status, 200);
  refused(await api.send('GET', '/api/topics/t', { headers: operator }), 403, '');
  refused(await api.send('GET', '/api/breakers'), 401, '');
});

story('keys are changed while the node runs: new ones count, old ones while they are there, wrong files not', async (w) => {
  const { issuer, node, api } = await locked(w, 1, { alg: 'ES256' });
  const status = async (token) => (await publish(api, 't', bearer(token))).status;
  const first = issuer.token({ publish: ['t'] });
  assert.equal(await status(first), 201);
  issuer.add('k2', 'RS256');
  const second = issuer.token({ publish: ['t'] });
  await until(async () => await status(second) === 201, { what: 'the new key' });
  assert.equal(await status(first), 201);
  issuer.write('{"keys": []}');
  await node.logged('keys.reload_failed');
  assert.equal(await status(second), 201);
  issuer.drop('k1');
  await until(async () => await status(first) === 401, { what: 'the old key to be gone' });
  assert.equal(await status(second), 201);
});

story('a stream is told that its token ends, and ended; a poll as well', async (w) => {
  const { issuer, node, api } = await locked(w, 1, { leeway_s: 0, set: { longpoll: { wait_ms: 60_000 } } });
  const token = issuer.token({ seconds: 4 * SLOW, subscribe: ['t'] });
  const polled = api.send('GET', '/api/events?topic=t&wait_ms=60000&since=-1s', { headers: { accept: 'application/json', ...bearer(token) } });
  const stream = await w.follow(node, 'topic=t', { headers: bearer(token) });
  await node.metricReaches('weft_subscribers', 2);
  const { data: soon } = await stream.waitControl('weft.expiring');
  assert.ok(soon.in_ms <= 4000 * SLOW && soon.expires_ms > Date.now() - 60_000, JSON.stringify(soon));
  assert.deepEqual((await stream.waitControl('weft.expired')).data, { reason: 'expired' });
  await stream.closed;
  refused(await polled, 401, 'token', /expired/);
  await until(async () => (await api.send('GET', '/api/topics/t', { headers: bearer(token) })).status === 401, { what: 'the token to be refused' });
});

story('requests are limited by subject, whatever the address', async (w) => {
  const issuer = new Issuer(w.folder);
  const [a, b] = await w.cluster(2, { node: { set: { auth: { anonymous: 'none', jwks: issuer.file }, limits: { subject_per_s: 1, subject_burst: 5 } } } });
  const apis = [w.client(a), w.client(b)];
  const ask = (sub, i) => apis[i % 2].send('GET', '/api/breakers', { headers: bearer(issuer.token({ sub })) });
  const seen = [];
  for (let i = 0; i < 40; i++) seen.push((await ask('anna', i)).status);
  assert.ok(seen.includes(429), seen.join(' '));
  const over = await until(async () => {
    const answer = await ask('anna', 0);
    return answer.status === 429 && answer;
  }, { what: 'the limit', every: 1 });
  assert.ok(Number(over.headers['retry-after']) >= 1);
  assert.equal((await ask('bob', 0)).status, 200);
  assert.equal((await ask('someone with "odd" / letters', 0)).status, 200);
});

story('weft shows a token: from the environment, or from a file that may be replaced; and revokes one', async (w) => {
  const { issuer, node } = await locked(w);
  const file = path.join(w.folder, 'token');
  const weft = (args, env = {}) => run(bin('weft'), [...args, '--url', node.origin], { env: { ...cleanEnv(), ...env } });
  const token = issuer.token({ jti: 'one', publish: ['t'], subscribe: ['*'] });
  const none = await weft(['publish', 't', 'a.b', '{}']);
  assert.equal(none.code, 1);
  assert.match(none.stderr, /needs a token/);
  assert.equal((await weft(['publish', 't', 'a.b', '{}'], { WEFT_TOKEN: token })).code, 0);
  writeFileSync(file, `${token}\n`);
  assert.equal((await weft(['tail', 't', '--since', 'earliest', '--count', '1', '--token-file', file])).code, 0);
  assert.equal((await weft(['topics', '--token-file', `${file}.not`])).code, 2);

  const operator = { WEFT_TOKEN: issuer.token({ roles: ['operator'] }) };
  assert.equal((await weft(['revocations', 'add', 'one'], operator)).code, 0);
  assert.equal((await weft(['revocations'], operator)).stdout, 'one\tfor ever');
  assert.match((await weft(['topics', '--token-file', file])).stderr, /revoked/);
  assert.equal((await weft(['revocations', 'remove', 'one'], operator)).code, 0);
  assert.equal((await weft(['topics', '--token-file', file])).code, 0);
});

story('a proxy that asks for a bucket shows a token that is for somebody else', async (w) => {
  const issuer = new Issuer(w.folder);
  const nodes = await w.cluster(1, { node: { set: { auth: { anonymous: 'all', jwks: issuer.file } } } });
  const open = w.client(nodes[0]);
  const shut = w.client(await w.node({ set: { auth: { anonymous: 'none', jwks: issuer.file } } }));
  assert.equal((await open.send('PUT', '/api/limits/b', { body: '{"capacity":100,"refill_per_s":1}' })).status, 201);
  const check = (api, path) => api.send(path === '' ? 'GET' : 'POST', `/api/limits/b/check${path}`, { headers: bearer('the.application.own') });
  for (const path of ['', '/orders/7?x=1']) {
    assert.equal((await check(open, path)).status, 200, path);
    assert.equal((await check(shut, path)).status, 401, path);
  }
  // Elsewhere it is still refused.
  assert.equal((await open.send('GET', '/api/limits/b', { headers: bearer('the.application.own') })).status, 401);
  // Buckets of subjects and addresses are not for everybody.
  const user = bearer(issuer.token({ subscribe: ['*'] }));
  assert.equal((await shut.send('GET', '/api/limits/b', { headers: user })).status, 200);
  assert.equal((await shut.send('GET', '/api/limits/weft.address:127.0.0.1', { headers: user })).status, 403);
});
