// docs/redis.md is true: every redis-cli line in it is run, as a shell runs it, and gives an answer that is neither
// an error nor nothing.
import assert from 'node:assert/strict';
import { chmodSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { story } from './lib/story.mjs';
import { event, events } from './lib/http.mjs';
import { ROOT } from './lib/node.mjs';
import { run } from './lib/process.mjs';
import { until } from './lib/wait.mjs';

const text = readFileSync(path.join(ROOT, 'docs/redis.md'), 'utf8');
const lines = [...text.matchAll(/^```sh\n([\s\S]*?)^```$/gm)].flatMap((block) => block[1].split('\n').filter((line) => line !== ''));

// A redis-cli on the PATH that talks to the Redis of this story.
function wrapped(w) {
  const folder = path.join(w.folder, 'bin');
  mkdirSync(folder);
  const script = path.join(folder, 'redis-cli');
  writeFileSync(script, `#!/bin/sh\nPATH=\${PATH#*:}\nexec redis-cli -s '${w.store.socket}' "$@"\n`);
  chmodSync(script, 0o755);
  return { ...process.env, PATH: `${folder}:${process.env.PATH}` };
}

function removed(w, topic, remembered) {
  const keys = ['weft:{0}:head', 'weft:{0}:topics', 'weft:{0}:removed', `weft:{0}:log:${topic}`];
  const call = () => w.store.cmd('FCALL', 'weft1_retain', '4', ...keys, '1000', remembered, topic, '0', '1', '0');
  return until(async () => (await call())[2] === 1, { what: `${topic} to go` });
}

async function prepare(w) {
  const [node] = await w.cluster(1, { node: { set: { services: { programs: 'true' } } } });
  const api = w.client(node);
  await api.published('repo:42', events(1, 3));
  await api.published('orders', event(1), { 'idempotency-key': 'order-17' });
  await api.published('orders', events(1, 2), { 'producer-id': 'importer', 'producer-epoch': '1', 'producer-seq': '0' });
  await w.follow(node, 'topic=repo:42&topic=*');
  // A topic that retention has removed, and whose name it has forgotten since.
  await api.published('past', event(1));
  await removed(w, 'past', '0');
  await api.published('past', event(2));
  await removed(w, 'past', '1');
  // A breaker with a failure, and one that is half open with a permit out.
  const put = (name, config) => api.send('PUT', `/api/breakers/${name}`, { body: JSON.stringify(config) });
  await put('payments', {});
  await put('search', { failure_threshold: 1, timeout_ms: 1 });
  for (const name of ['payments', 'search']) await api.send('POST', `/api/breakers/${name}/report`, { body: '{"outcome":"failure"}' });
  await until(async () => (await api.send('POST', '/api/breakers/search/acquire')).json.allowed, { what: 'a permit' });
  await api.send('PUT', '/api/limits/tenant:7', { body: '{"capacity":100,"refill_per_s":50}' });
  await api.send('POST', '/api/limits/tenant:7/take');
  // A service that is probed and not well, and one that could be run.
  await api.send('PUT', '/api/services/web', { body: JSON.stringify({ kind: 'url', url: 'http://127.0.0.1:1/', interval_ms: 100 }) });
  await api.send('PUT', '/api/services/job', { body: JSON.stringify({ kind: 'command', command: ['true'] }) });
  await until(async () => (await api.get('/api/services/web')).json.state === 'unhealthy', { what: 'web to be probed' });
  await api.send('PUT', '/api/revocations/one', { body: '{}' });
  await node.logged('lease.taken', { where: (line) => line.what === 'retention' });
  return { api, env: wrapped(w) };
}

function checkAnswer(line, done) {
  assert.equal(done.code, 0, `${line}: ${done.stderr}`);
  assert.doesNotMatch(done.stdout, /^\(?(error|ERR|WRONGTYPE|NOPERM|NOSCRIPT)/, line);
  assert.notEqual(done.stdout.trim(), '', `${line}: no answer`);
}

story(`the ${lines.length} lines of docs/redis.md`, async (w) => {
  assert.ok(lines.length > 15, 'there are lines');
  for (const line of lines) assert.match(line, /^redis-cli /, 'nothing else stands in the blocks');
  const { api, env } = await prepare(w);
  for (const line of lines.filter((l) => !/^redis-cli SUBSCRIBE/.test(l))) {
    const done = await run('sh', ['-c', line], { env });
    checkAnswer(line, done);
    const numbers = /^redis-cli (XLEN|ZSCORE|ZCARD|PTTL|MEMORY)/.test(line);
    if (numbers) assert.ok(Number(done.stdout) > 0, `${line}: ${done.stdout}`);
  }
  for (const line of lines.filter((l) => /^redis-cli SUBSCRIBE/.test(l))) {
    const listening = w.program('sh', ['-c', `exec ${line}`], { env });
    await listening.line((l) => l === '1', { what: 'the subscription' });
    const [id] = await api.published('repo:42', event(9));
    const message = await listening.line((l) => l.startsWith(`${id} `), { what: `a message on ${line}` });
    assert.ok(message);
    const [, prev, topic, type, ...envelope] = listening.lines.at(-1).text.split(' ');
    assert.match(prev, /^\d+$/);
    assert.equal(topic, 'repo:42');
    assert.equal(type, 'test.counted');
    assert.deepEqual(JSON.parse(envelope.join(' ')).payload, { n: 9 });
    await listening.kill();
  }
});

story('every key that a node makes is in the table, under its prefix', async (w) => {
  const { api } = await prepare(w);
  await api.publish('ce', { specversion: '1.0', id: '1', source: 's', type: 'a' }, { 'content-type': 'application/cloudevents+json' });
  const keys = await w.store.cmd('KEYS', '*');
  const known = [/^weft:\{0\}:head$/, /^weft:\{0\}:topics$/, /^weft:\{0\}:removed$/, /^weft:\{0\}:canary$/, /^weft:lease:\{retention\}(:fence)?$/, /^weft:\{0\}:log:[A-Za-z0-9._:-]+$/, /^weft:\{0\}:once:[^/]+\/.+$/, /^weft:\{0\}:producer:[^/]+\/.+$/,
    /^weft:breakers$/, /^weft:breaker:\{[^}]+\}(:window|:nodes|:permits)?$/, /^weft:bucket:\{[^}]+\}$/, /^weft:buckets$/,
    /^weft:services$/, /^weft:service:\{[^}]+\}(:errors)?$/, /^weft:lease:\{service:[^}]+\}(:fence)?$/, /^weft:\{revoked\}(:version)?$/, /^weft:nodes$/, /^weft:node:\{[^}]+\}$/];
  for (const key of keys) assert.ok(known.some((shape) => shape.test(key)), `${key} is not documented`);
  for (const key of ['weft:{0}:head', 'weft:{0}:producer:orders/importer', 'weft:breaker:{payments}', 'weft:bucket:{tenant:7}']) {
    const fields = await w.store.cmd('HKEYS', key);
    assert.notEqual(fields.length, 0, key);
    for (const field of fields) assert.ok(new RegExp(`^\\|[^|]*\`${field}\`[^|]*\\|`, 'm').test(text), `field ${field} of ${key} is not documented`);
  }
});

story('an event published through redis-cli reaches a stream and the history', async (w) => {
  const [node] = await w.cluster();
  const api = w.client(node);
  await api.published('repo:42', event(1));
  const stream = await w.follow(node, 'topic=repo:42');
  const line = lines.find((l) => l.includes('FCALL weft1_publish'));
  const done = await run('sh', ['-c', line], { env: wrapped(w) });
  assert.match(done.stdout, /^\d+-\d+ 1$/);
  const [got] = await stream.take(1);
  assert.deepEqual([got.id, got.type, got.payload, got.node], [done.stdout.split(' ')[0], 'note.added', { text: 'by hand' }, 'redis-cli']);
  const { json } = await api.get('/api/topics/repo:42/events');
  assert.deepEqual(json.events[1], got);
});

story('a node works as the documented ACL user', async (w) => {
  await w.redis();
  const line = lines.find((l) => l.includes('ACL SETUSER'));
  const done = await run('sh', ['-c', line], { env: wrapped(w) });
  assert.equal(done.stdout, 'OK');
  const password = encodeURIComponent(/>([^']*)'/.exec(line)[1]);
  const node = await w.node({
    redis: `redis://weft-node:${password}@127.0.0.1:${w.store.port}/2`,
    set: { redis: { command_timeout_ms: 200 }, history: { rules: 'old=max_age:1s;idle:2s', sweep_ms: 100 } },
  });
  const api = w.client(node);
  await api.published('old', event(1));
  for (const [method, what, body, status] of [
    ['PUT', '', '{"failure_threshold":1,"timeout_ms":1,"quorum":1,"success_threshold":1}', 201], ['GET', '', undefined, 200], ['POST', '/report', '{"outcome":"failure"}', 200],
    ['POST', '/force', '{"state":"auto"}', 200],
  ]) {
    const answer = await api.send(method, `/api/breakers/b${what}`, body ? { body } : {});
    assert.equal(answer.status, status, answer.text);
  }
  const permit = await until(async () => (await api.send('POST', '/api/breakers/b/acquire')).json.permit, { what: 'a permit' });
  const settled = await api.send('POST', '/api/breakers/b/report', { body: JSON.stringify({ permit, outcome: 'success' }) });
  assert.deepEqual(settled.json, { counted: true, state: 'closed' });
  assert.equal((await api.send('DELETE', '/api/breakers/b')).status, 204);
  const stream = await w.follow(node, 'topic=t&topic=r*&since=earliest');
  const ids = await api.published('t', events(1, 3));
  for (const status of [503, 503]) { // there is no replica; the second time it is a duplicate
    const answer = await api.send('POST', '/api/topics/u/events?ack=replicas:1', {
      headers: { 'content-type': 'application/json', 'producer-id': 'p', 'producer-epoch': '1', 'producer-seq': '0' },
      body: JSON.stringify(event(1)),
    });
    assert.equal(answer.status, status, answer.text);
    assert.equal(answer.json.error.code, 'replicas');
  }
  await api.published('u', event(2), { 'idempotency-key': 'k' });
  await api.published('u', event(2), { 'idempotency-key': 'k' });
  assert.deepEqual((await stream.take(3)).map((e) => e.id), ids);
  await until(async () => (await api.get('/api/topics/old')).status === 404, { what: 'retention to remove a topic' });
  assert.equal((await api.get('/api/topics')).json.topics.length, 2);
  assert.equal((await api.get('/api/topics/t')).json.length, 3);
  assert.equal((await api.get('/api/topics/t/events?limit=2')).json.events.length, 2);
  for (const mode of ['exact', 'leased']) {
    const body = JSON.stringify({ capacity: 100, refill_per_s: 0.001, mode, dry_run: true });
    assert.equal((await api.send('PUT', '/api/limits/x', { body })).status, mode === 'exact' ? 201 : 200);
    for (let i = 0; i < 3; i++) assert.equal((await api.send('POST', '/api/limits/x/take', { body: '{"tokens":60}' })).status, 200);
  }
  assert.equal((await api.get('/api/limits')).json.buckets.length, 1);
  assert.equal((await api.send('DELETE', '/api/limits/x')).status, 204);
  await node.metricReaches('weft_bucket_nodes', 1);
  stream.cut(); // nothing but UNSUBSCRIBE may tell that it is gone
  const other = await w.node({ redis: `redis://weft-node:${password}@127.0.0.1:${w.store.port}/2` });
  const resumed = await w.follow(other, 'topic=t', { lastEventId: ids[0] });
  assert.deepEqual((await resumed.take(2)).map((e) => e.id), ids.slice(1));
  const headers = { 'idempotency-key': 'once' };
  const once = await w.client(other).published('t', event(4), headers);
  assert.deepEqual((await api.publish('t', event(4), headers)).json.ids, once);
  await w.store.cmd('FUNCTION', 'FLUSH');
  assert.equal((await api.publish('t', event(5))).status, 201, 'it loads its functions again');
  await w.store.cmd('CLIENT', 'KILL', 'USER', 'weft-node');
  await resumed.waitControl('weft.recovered');
  await until(async () => (await api.get('/readyz')).status === 200, { what: 'the node to be back' });
  const before = Number(/cmdstat_ping:calls=(\d+)/.exec(await w.store.cmd('INFO', 'commandstats'))?.[1] ?? 0);
  await until(async () => Number(/cmdstat_ping:calls=(\d+)/.exec(await w.store.cmd('INFO', 'commandstats'))?.[1] ?? 0) > before + 3, { what: 'PINGs of idle connections' });
  const denied = await w.store.cmd('ACL', 'LOG');
  assert.deepEqual(denied, [], 'nothing was denied');
});

story('another prefix is another cluster', async (w) => {
  await w.redis();
  const one = await w.node();
  const other = await w.node({ set: { redis: { prefix: 'other' } } });
  await w.client(other).published('t', event(1));
  assert.equal((await w.client(one).get('/api/topics')).json.topics.length, 0);
  const keys = await w.store.cmd('KEYS', '*');
  assert.deepEqual(keys.filter((key) => !key.startsWith('other:')).sort(), ['weft:node:{a}', 'weft:nodes', 'weft:{0}:canary'], keys.join(' '));
  assert.ok(keys.includes('other:{0}:log:t'), keys.join(' '));
});
