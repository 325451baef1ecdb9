// Redis is there and says no. Publishers get 503 with the cause and nothing is written; the node says it once in its log, not
// at each attempt; a server that is not the master is left, any other stays connected; all heals by itself.
import assert from 'node:assert/strict';
import path from 'node:path';
import { mkdirSync } from 'node:fs';
import { story } from './lib/story.mjs';
import { event, events } from './lib/http.mjs';
import { Redis } from './lib/redis.mjs';
import { until } from './lib/wait.mjs';

const FAST = { redis: { backoff_min_ms: 10, backoff_max_ms: 50 } };

// The cause begins, is told, ends; the connections stay.
async function refuses(w, { cause, begin, end, code, sure = true }) {
  const [a] = await w.cluster(1, { node: { set: FAST } });
  const api = w.client(a);
  const stream = await w.follow(a, 'topic=t');
  await api.published('t', event(1));
  await begin(w.store);
  const before = await w.store.fingerprint();
  for (let n = 0; n < 20; n++) {
    const answer = await api.publish('t', event(2));
    assert.equal(answer.status, 503, answer.text);
    assert.match(answer.headers['retry-after'], /^\d+$/);
    assert.equal(answer.json.error.code, 'unavailable');
    assert.equal(answer.json.error.written, sure ? false : undefined);
    assert.ok(answer.json.error.message.includes(code), answer.text);
  }
  assert.equal(await w.store.fingerprint(), before, 'nothing was written');
  const told = await a.logged('publish.failed');
  assert.match(told.error, cause);
  assert.equal(a.program.lines.filter((l) => l.text.includes('publish.failed')).length, 1, 'told once');
  await end(w.store);
  const [id] = await api.published('t', event(3));
  await stream.until(() => stream.events.at(-1)?.id === id, { what: 'the event afterwards' });
  assert.equal(await a.metric('weft_redis_disconnects_total'), 0);
  assert.deepEqual(stream.control('weft.degraded'), []);
}

story('OOM: its memory is full', (w) => refuses(w, {
  cause: /^OOM /,
  code: 'OOM',
  begin: (redis) => redis.cmd('CONFIG', 'SET', 'maxmemory', '1'),
  end: (redis) => redis.cmd('CONFIG', 'SET', 'maxmemory', '0'),
}));

story('NOREPLICAS: the replicas it needs are away', (w) => refuses(w, {
  cause: /^NOREPLICAS /,
  code: 'NOREPLICAS',
  begin: (redis) => redis.cmd('CONFIG', 'SET', 'min-replicas-to-write', '1'),
  end: (redis) => redis.cmd('CONFIG', 'SET', 'min-replicas-to-write', '0'),
}));

story('MISCONF: a snapshot could not be written', (w) => refuses(w, {
  cause: /^MISCONF /,
  code: 'MISCONF',
  begin: async (redis) => {
    mkdirSync(path.join(redis.folder, 'dump.rdb')); // where the snapshot has to go
    await redis.cmd('CONFIG', 'SET', 'save', '3600 1000000');
    await redis.cmd('BGSAVE');
    await until(async () => /rdb_last_bgsave_status:err/.test(await redis.cmd('INFO', 'persistence')), { what: 'the snapshot to fail' });
  },
  end: (redis) => redis.cmd('CONFIG', 'SET', 'stop-writes-on-bgsave-error', 'no'),
}));

story('NOPERM: a right is taken away', (w) => refuses(w, {
  cause: /NOPERM|can't run this command/,
  code: 'NOPERM',
  sure: false, // of a right that the function lacks it is said in the same words
  begin: (redis) => redis.cmd('ACL', 'SETUSER', 'default', '-fcall'),
  end: (redis) => redis.cmd('ACL', 'SETUSER', 'default', '+fcall'),
}));

story('NOPERM to follow: it is told once, and tried again more and more slowly', async (w) => {
  await w.redis();
  await w.store.cmd('ACL', 'SETUSER', 'deaf', 'on', '>p', 'allkeys', '+@all', 'resetchannels', '&weft:{0}:live');
  const a = await w.node({ redis: `redis://deaf:p@127.0.0.1:${w.store.port}`, set: { redis: { backoff_min_ms: 10, backoff_max_ms: 200 } }, ready: false });
  const stream = w.stream(a, 'topic=t');
  const told = await a.logged('redis.refused');
  assert.deepEqual([told.to, told.user], ['SUBSCRIBE', 'deaf']);
  assert.match(told.error, /^NOPERM /);
  await a.metricReaches('weft_redis_disconnects_total', (n) => n >= 8);
  const about = a.program.lines.filter((l) => l.text.includes('-live'));
  assert.ok(about.length <= 3, `no storm: ${about.map((l) => l.text).join('\n')}`);
  await w.store.cmd('ACL', 'SETUSER', 'deaf', 'allchannels');
  await stream.open();
  const [id] = await until(async () => {
    const answer = await w.client(a).publish('t', event(1));
    return answer.status === 201 && answer.json.ids;
  }, { what: 'a publish to be taken' });
  await stream.until(() => stream.events.at(-1)?.id === id, { what: 'the event' });
});

story('READONLY: the server became a replica; its publishes are refused, it is left, and taken when it is a master again', async (w) => {
  const other = new Redis(path.join(w.folder, 'other'));
  w.atEnd(() => other.stop());
  await other.start();
  const [a] = await w.cluster(1, { node: { set: FAST } });
  const api = w.client(a);
  const stream = await w.follow(a, 'topic=t');
  const ids = await api.published('t', events(1, 3));
  await w.store.cmd('REPLICAOF', '127.0.0.1', '1'); // a port where nobody is: the data stay
  const refused = await api.publish('t', event(4));
  assert.equal(refused.status, 503);
  assert.match(refused.json.error.message, /READONLY|MASTERDOWN/);
  assert.match(refused.json.error.message, /nothing was written/);
  await stream.waitControl('weft.degraded');
  for (const which of ['publish', 'live', 'read', 'ack']) {
    await a.logged('redis.disconnected', { where: (l) => l.connection.endsWith(which) && /not the master|without master/.test(l.why) });
    await a.logged('redis.unreachable', { where: (l) => l.connection.endsWith(which) && l.why === 'its role is slave, not master' });
  }
  assert.equal((await api.get('/readyz')).status, 503);
  await a.metricReaches('weft_redis_errors_total', (n) => n > 15);
  assert.equal(a.program.lines.filter((l) => /its role is/.test(l.text) && !l.text.includes('-control')).length, 4, 'told once on each connection');
  await w.store.cmd('REPLICAOF', 'NO', 'ONE');
  await stream.waitControl('weft.recovered');
  ids.push(...(await api.published('t', event(5))));
  await stream.until(() => stream.events.at(-1)?.id === ids.at(-1), { what: 'the event' });
  assert.deepEqual(stream.events.map((e) => e.id), ids);
});

story('a replica given by mistake is not taken, not even to read', async (w) => {
  await w.redis();
  const replica = new Redis(path.join(w.folder, 'replica'));
  w.atEnd(() => replica.stop());
  await replica.start({ args: ['--replicaof', '127.0.0.1', String(w.store.port), '--repl-diskless-sync-delay', '0'] });
  const a = await w.node({ redis: replica.url, ready: false, set: FAST });
  const line = await a.logged('redis.unreachable');
  assert.equal(line.why, 'its role is slave, not master');
  assert.equal((await w.client(a).get('/readyz')).status, 503);
  await replica.cmd('REPLICAOF', 'NO', 'ONE');
  await a.logged('node.ready');
  await w.client(a).published('t', event(1));
});

story('LOADING: it is tried again until the data are loaded', async (w) => {
  // Each key takes its time, and Redis answers in between.
  await w.redis({ args: ['--key-load-delay', '2000', '--loading-process-events-interval-bytes', '1024'] });
  const [a] = await w.cluster(1, { node: { set: FAST } });
  const api = w.client(a);
  await api.published('t', events(1, 100));
  for (let i = 0; i < 500; i++) await w.store.cmd('SET', `filler:${i}`, 'x'.repeat(2000));
  await w.store.cmd('BGREWRITEAOF');
  await until(async () => /aof_rewrite_in_progress:0/.test(await w.store.cmd('INFO', 'persistence')), { what: 'the AOF to be rewritten' });
  await w.store.restart();
  const line = await a.logged('redis.refused');
  assert.match(line.error, /^LOADING /);
  assert.equal(a.program.lines.filter((l) => l.text.includes('LOADING') && !l.text.includes('-control')).length, 1, 'told once');
  await until(async () => (await api.publish('t', event(101))).status === 201, { what: 'a publish to be taken' });
  assert.equal((await w.store.ids('t')).length, 101);
});
