// What operators and probes ask: is it alive, is it ready, what has it done. The metrics are valid Prometheus text, all of them
// are documented, and their number does not grow with what clients send.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { story } from './lib/story.mjs';
import { events } from './lib/http.mjs';
import { ROOT } from './lib/node.mjs';
import { until } from './lib/wait.mjs';

// Prometheus text format 0.0.4, strictly. Returns the families.
function parseExposition(text) {
  assert.ok(text.endsWith('\n'), 'the last line ends');
  const families = new Map();
  let current;
  for (const line of text.slice(0, -1).split('\n')) {
    const meta = /^# (HELP|TYPE) ([a-zA-Z_:][a-zA-Z0-9_:]*) (.+)$/.exec(line);
    if (meta) {
      const [, kind, name, rest] = meta;
      if (kind === 'HELP') {
        assert.ok(!families.has(name), `two families ${name}`);
        current = { name, help: rest, samples: [] };
        families.set(name, current);
      } else {
        assert.equal(current?.name, name, `TYPE of ${name} without its HELP`);
        assert.match(rest, /^(counter|gauge|histogram)$/);
        current.type = rest;
      }
      continue;
    }
    const sample = /^([a-zA-Z_:][a-zA-Z0-9_:]*)(?:\{((?:[a-zA-Z_][a-zA-Z0-9_]*="(?:[^"\\\n]|\\["\\n])*",?)*)\})? (-?(?:\d+(?:\.\d*)?(?:[eE][-+]?\d+)?|\+?Inf|NaN))$/.exec(line);
    assert.ok(sample, `not a sample: ${line}`);
    const [, name, labels, value] = sample;
    assert.ok(current?.type, `a sample before its TYPE: ${line}`);
    if (current.type === 'histogram') assert.match(name, new RegExp(`^${current.name}_(bucket|sum|count)$`));
    else assert.equal(name, current.name);
    if (current.type === 'counter') assert.ok(Number(value) >= 0 && name.endsWith('_total'), line);
    current.samples.push({ name, labels: labels ?? '', value: Number(value.replace('Inf', 'Infinity')) });
  }
  for (const family of families.values()) {
    assert.ok(family.samples.length > 0, `${family.name} has no sample`);
    if (family.type !== 'histogram') continue;
    const buckets = family.samples.filter((s) => s.name.endsWith('_bucket'));
    for (let i = 1; i < buckets.length; i++) assert.ok(buckets[i].value >= buckets[i - 1].value, `${family.name} is not cumulative`);
    assert.match(buckets.at(-1).labels, /le="\+Inf"/);
    assert.equal(buckets.at(-1).value, family.samples.find((s) => s.name.endsWith('_count')).value);
  }
  return families;
}

story('healthz and readyz with Redis', async (w) => {
  const [node] = await w.cluster();
  const api = w.client(node);
  const health = await api.get('/healthz');
  assert.deepEqual([health.status, health.json], [200, { status: 'ok' }]);
  const ready = await api.get('/readyz');
  assert.deepEqual([ready.status, ready.json], [200, { status: 'ready' }]);
  assert.equal(ready.headers['cache-control'], 'no-store');
});

story('readyz without Redis: 503 with the reason; healthz stays', async (w) => {
  const [node] = await w.cluster();
  const api = w.client(node);
  await w.store.kill();
  const answer = await until(async () => {
    const ready = await api.get('/readyz');
    return ready.status === 503 && ready;
  }, { what: 'readyz to say 503' });
  assert.equal(answer.json.status, 'not_ready');
  assert.deepEqual(answer.json.reasons, ['redis']);
  assert.equal((await api.get('/healthz')).status, 200);
  assert.equal(await node.metric('weft_redis_up'), 0);
  await w.store.restart();
  await until(async () => (await api.get('/readyz')).status === 200, { what: 'readyz to say 200' });
});

story('metrics: valid, counted, documented', async (w) => {
  const [node] = await w.cluster();
  const api = w.client(node);
  const stream = await w.follow(node, 'topic=t');
  await api.published('t', events(1, 25));
  await stream.take(25);
  await api.publish('t', '{}');
  const answer = await api.get('/metrics');
  assert.equal(answer.status, 200);
  assert.match(String(answer.headers['content-type']), /^text\/plain; version=0\.0\.4/);
  const families = parseExposition(answer.text);
  const value = (name) => families.get(name)?.samples[0].value;
  assert.equal(value('weft_events_published_total'), 25);
  assert.equal(value('weft_deliveries_total'), 25);
  assert.equal(value('weft_publish_rejected_total'), 1);
  assert.equal(value('weft_subscribers'), 1);
  assert.equal(value('weft_redis_up'), 1);
  for (const name of ['weft_redis_roundtrip_seconds', 'weft_publish_commit_seconds', 'weft_publish_to_flush_seconds']) {
    const count = families.get(name).samples.find((s) => s.name === `${name}_count`).value;
    assert.ok(count > 0, `${name} has observed nothing`);
  }
  const documented = ['metrics', 'services'].map((name) => readFileSync(path.join(ROOT, `docs/${name}.md`), 'utf8')).join('');
  for (const name of families.keys()) assert.ok(documented.includes(`\`${name}\``) || documented.includes(`\`${name}{`), `${name} is not documented`);
});

story('the number of series does not grow with paths and topics', async (w) => {
  const [node] = await w.cluster();
  const api = w.client(node);
  await api.published('warm', events(1, 1));
  const lines = async () => (await api.get('/metrics')).text.split('\n').length;
  const before = await lines();
  for (let i = 0; i < 100; i++) await api.get(`/nope/${i}`);
  for (let i = 0; i < 50; i++) await api.published(`topic:${i}`, events(1, 1));
  assert.equal(await lines(), before);
});

story('the log: one JSON object a line, nothing forged by what a client sends', async (w) => {
  const [node] = await w.cluster(1, { node: { args: ['--log-level', 'debug'] } });
  const api = w.client(node);
  const evil = 'x%0a%7B%22event%22%3A%22forged%22%7D%1b%5B31m';
  await api.get(`/${evil}`);
  await api.get(`/api/topics/${evil}`);
  await api.get(`/api/events?topic=${evil}&access_token=SECRET`);
  await api.publish('t', { type: 'a' }, { 'user-agent': 'a\tb' });
  await node.stop();
  for (const { text } of node.program.lines) {
    const line = JSON.parse(text);
    assert.equal(typeof line.event, 'string');
    assert.notEqual(line.event, 'forged');
    assert.doesNotMatch(text, /[\u0000-\u001f]/);
    assert.doesNotMatch(text, /SECRET/);
  }
});


// Connected is not enough: ready means that events arrive.
story('Redis is frozen while the connections stand: not ready, and ready again when it goes on', async (w) => {
  const [node] = await w.cluster(1, { node: { set: { canary: { interval_ms: 100, max_age_ms: 800 }, redis: { command_timeout_ms: 60000 } } } });
  const api = w.client(node);
  assert.equal((await api.get('/readyz')).status, 200);
  w.store.program.signal('SIGSTOP');
  try {
    const refused = await until(async () => {
      const answer = await api.get('/readyz');
      return answer.status === 503 ? answer : null;
    }, { what: 'not to be ready' });
    assert.deepEqual(refused.json, { status: 'not_ready', reasons: ['canary'] });
    assert.equal((await api.get('/healthz')).status, 200);
    await node.metricReaches('weft_canary_age_seconds', (age) => age > 0.8);
  } finally {
    w.store.program.signal('SIGCONT');
  }
  await until(async () => (await api.get('/readyz')).status === 200, { what: 'to be ready again' });
  await node.metricReaches('weft_canary_age_seconds', (age) => age >= 0 && age < 0.8);
});

story('canaries are heard but cannot be read back: publishing works, and still the node is not ready', async (w) => {
  const [node] = await w.cluster(1, { node: { set: { canary: { interval_ms: 100, max_age_ms: 800 } } } });
  const api = w.client(node);
  const ready = async (status) => until(async () => {
    const answer = await api.get('/readyz');
    return answer.status === status && answer;
  }, { what: `readyz to say ${status}` });
  await ready(200);
  await w.store.cmd('ACL', 'SETUSER', 'default', '-xrange');
  assert.deepEqual((await ready(503)).json, { status: 'not_ready', reasons: ['canary'] });
  await api.published('t', events(1, 1));
  await w.store.cmd('ACL', 'SETUSER', 'default', '+xrange');
  await ready(200);
});

story('the live connection is deaf: publishing works, and still the node is not ready', async (w) => {
  await w.redis();
  // No right to hear anything but the topics' channels.
  await w.store.cmd('ACL', 'SETUSER', 'deaf', 'on', '>secret', '~*', '+@all', 'resetchannels', '&weft:{0}:live:*', '&weft:{0}:live');
  const node = await w.node({ redis: w.store.url.replace('://', '://deaf:secret@'), ready: false });
  const api = w.client(node);
  await node.logged('redis.refused');
  assert.equal((await api.get('/readyz')).status, 503);
  await w.store.cmd('ACL', 'SETUSER', 'deaf', 'allchannels');
  await node.logged('node.ready');
  assert.equal((await api.get('/readyz')).status, 200);
});
