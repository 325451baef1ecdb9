// Publishing. A service hands the fabric one event, a list, lines of NDJSON or CloudEvents; it is answered
// 201 with the ids once Redis has taken them, and what lies in Redis is what it sent: whole, in order,
// with the chain of each topic unbroken. A retry with the same key gets the first answer and adds nothing.
import assert from 'node:assert/strict';
import { story } from './lib/story.mjs';
import { event, events } from './lib/http.mjs';
import { sleep } from './lib/wait.mjs';

const ID = /^[1-9]\d*-[1-9]\d*$/;
const seq = (id) => Number(id.split('-')[1]);

async function logOf(redis, topic) {
  const entries = await redis.cmd('XRANGE', `weft:{0}:log:${topic}`, '-', '+');
  return entries.map(([id, fields]) => {
    const entry = { id };
    for (let i = 0; i < fields.length; i += 2) entry[fields[i]] = fields[i + 1];
    return entry;
  });
}

story('one object: 201, its id, and the entry in Redis', async (w) => {
  const [node] = await w.cluster();
  const api = w.client(node);
  const sent = {
    type: 'task.status_changed', ts: 1795314948061, repo_id: '42', task_id: '7', session_id: 's', service_id: 'v', request_id: 'r', key: 'k',
    payload: { from: 'pending', to: 'running' },
  };
  const answer = await api.publish('repo:42', sent);
  assert.equal(answer.status, 201);
  assert.match(answer.headers['content-type'], /^application\/json/);
  assert.equal(answer.headers['x-content-type-options'], 'nosniff');
  assert.equal(answer.headers['cache-control'], 'no-store');
  assert.equal(answer.json.ids.length, 1);
  assert.match(answer.json.ids[0], ID);

  const [entry] = await logOf(w.store, 'repo:42');
  assert.equal(entry.id, answer.json.ids[0]);
  assert.equal(entry.prev, '0');
  assert.equal(entry.type, 'task.status_changed');
  assert.deepEqual(JSON.parse(entry.event), { ...sent, node: 'a' });

  const history = await api.get('/api/topics/repo:42/events');
  assert.deepEqual(history.json.events, [{ id: entry.id, topic: 'repo:42', ...sent, node: 'a' }]);
});

story('what is left out is filled in: ts with now, payload with an empty object', async (w) => {
  const [node] = await w.cluster();
  const api = w.client(node);
  const before = Date.now();
  await api.published('t', { type: 'bare' });
  await api.published('t', { type: 'numbers.as.names', repo_id: 42, task_id: 7, payload: {} });
  const { json } = await api.get('/api/topics/t/events');
  const [bare, numbers] = json.events;
  assert.ok(bare.ts >= before - 1000 && bare.ts <= Date.now() + 1000, `ts ${bare.ts}`);
  assert.deepEqual(bare.payload, {});
  assert.equal(numbers.repo_id, '42');
  assert.equal(numbers.task_id, '7');
});

story('any JSON in a payload comes back as it was, on one line', async (w) => {
  const [node] = await w.cluster();
  const api = w.client(node);
  const payload = {
    text: 'line one\nline two\r\ttab "quoted" \\ / ünïcödé 漢字 🧵 \u2028 </script>',
    numbers: [0, -1, 1.5, 1e-7, 12345678901234, -0.25], yes: true, no: false, nothing: null, '': 'empty key', nested: { a: [{ b: [] }, {}] },
  };
  const stream = await w.follow(node, 'topic=t');
  const body = JSON.stringify({ payload, type: 'any.json' }, null, 4).replaceAll('\n', '\r\n');
  await api.published('t', body);
  const [live] = await stream.take(1);
  assert.deepEqual(live.payload, payload);
  const [entry] = await logOf(w.store, 't');
  assert.doesNotMatch(entry.event, /[\u0000-\u001f]/);
  const { json } = await api.get('/api/topics/t/events');
  assert.deepEqual(json.events[0].payload, payload);
});

story('a NUL in a payload, written as the escape that JSON has for it, is a character like any other', async (w) => {
  const [node] = await w.cluster();
  const api = w.client(node);
  const stream = await w.follow(node, 'topic=t');
  await api.published('t', { type: 'nul', payload: { text: 'a\0b' } });
  assert.equal((await stream.take(1))[0].payload.text, 'a\0b');
});

story('an array: ids in order, consecutive, one chain', async (w) => {
  const [node] = await w.cluster();
  const api = w.client(node);
  const ids = await api.published('t', events(1, 100));
  assert.equal(ids.length, 100);
  assert.equal(new Set(ids).size, 100);
  for (let i = 1; i < ids.length; i++) assert.equal(seq(ids[i]), seq(ids[i - 1]) + 1);
  const log = await logOf(w.store, 't');
  assert.deepEqual(log.map((entry) => entry.id), ids);
  assert.deepEqual(log.map((entry) => JSON.parse(entry.event).payload.n), Array.from({ length: 100 }, (_, i) => i + 1));
  assert.deepEqual(log.map((entry) => Number(entry.prev)), [0, ...ids.slice(0, -1).map(seq)]);
});

story('NDJSON: one event for each line, the last line end may be missing', async (w) => {
  const [node] = await w.cluster();
  const api = w.client(node);
  const lines = events(1, 3).map((e) => JSON.stringify(e));
  const type = { 'content-type': 'application/x-ndjson' };
  assert.equal((await api.published('t', `${lines.join('\n')}\n`, type)).length, 3);
  assert.equal((await api.published('t', lines.join('\n'), type)).length, 3);
  assert.equal((await api.published('t', `${lines.join('\r\n')}\r\n`, type)).length, 3);
  assert.equal(await w.store.cmd('XLEN', 'weft:{0}:log:t'), 9);
});

story('the content type may have parameters and any case', async (w) => {
  const [node] = await w.cluster();
  const api = w.client(node);
  for (const type of ['application/json; charset=utf-8', 'Application/JSON', 'application/json;charset="UTF-8"']) {
    const answer = await api.publish('t', event(1), { 'content-type': type });
    assert.equal(answer.status, 201, `${type}: ${answer.text}`);
  }
});

story('CloudEvents, structured: attributes find their fields, the same event twice is one', async (w) => {
  const [node] = await w.cluster();
  const api = w.client(node);
  const cloud = {
    specversion: '1.0', id: 'A234-1234-1234', source: '/tests/black', type: 'com.example.someevent', subject: 'larger.context',
    time: '2026-11-22T12:34:56.789Z', datacontenttype: 'application/json', partitionkey: 'key-1',
    traceparent: '00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01', data: { appinfoA: 'abc', appinfoB: 123 },
  };
  const type = { 'content-type': 'application/cloudevents+json; charset=utf-8' };
  const first = await api.publish('ce', cloud, type);
  assert.equal(first.status, 201, first.text);
  const again = await api.publish('ce', cloud, type);
  assert.equal(again.status, 201, again.text);
  assert.deepEqual(again.json.ids, first.json.ids);
  const other = await api.publish('ce', { ...cloud, id: 'another' }, type);
  assert.notDeepEqual(other.json.ids, first.json.ids);

  const { json } = await api.get('/api/topics/ce/events');
  assert.equal(json.events.length, 2);
  const [stored] = json.events;
  assert.equal(stored.type, 'com.example.someevent');
  assert.equal(stored.ts, Date.parse(cloud.time));
  assert.equal(stored.source, '/tests/black');
  assert.equal(stored.subject, 'larger.context');
  assert.equal(stored.key, 'key-1');
  assert.equal(stored.traceparent, cloud.traceparent);
  assert.deepEqual(stored.payload, cloud.data);
});

story('CloudEvents, batch: a repeated event gets its first id, the others new ones', async (w) => {
  const [node] = await w.cluster();
  const api = w.client(node);
  const cloud = (n) => ({ specversion: '1.0', id: `n${n}`, source: 's', type: 'ce.batch', data: { n } });
  const type = { 'content-type': 'application/cloudevents-batch+json' };
  const first = await api.published('ce', [cloud(1), cloud(2)], type);
  const second = await api.published('ce', [cloud(2), cloud(3)], type);
  assert.equal(second[0], first[1]);
  assert.equal(new Set([...first, ...second]).size, 3);
  assert.equal(await w.store.cmd('XLEN', 'weft:{0}:log:ce'), 3);
});

story('CloudEvents, binary: attributes in headers, the body is the data', async (w) => {
  const [node] = await w.cluster();
  const api = w.client(node);
  const headers = {
    'content-type': 'application/json', 'ce-specversion': '1.0', 'ce-id': 'b1', 'ce-source': '/binary', 'ce-type': 'ce.binary',
    'ce-time': '2026-11-22T12:34:56+01:00', 'ce-subject': 'a%20subject',
  };
  const first = await api.publish('ce', { n: 1 }, headers);
  assert.equal(first.status, 201, first.text);
  assert.deepEqual((await api.publish('ce', { n: 1 }, headers)).json.ids, first.json.ids);
  const { json } = await api.get('/api/topics/ce/events');
  assert.equal(json.events.length, 1);
  assert.equal(json.events[0].type, 'ce.binary');
  assert.equal(json.events[0].ts, Date.parse('2026-11-22T11:34:56Z'));
  assert.deepEqual(json.events[0].payload, { n: 1 });
});

story('topics of several: the same id in each log, one delivery to who follows both', async (w) => {
  const [node] = await w.cluster();
  const api = w.client(node);
  const both = await w.follow(node, 'topic=left&topic=right');
  const all = await w.follow(node, 'topic=*');
  const left = await w.follow(node, 'topic=left');

  const [first] = await api.published('left', event(1));
  const [shared] = await api.published('elsewhere', event(2, { topics: ['left', 'right'] }));
  const [last] = await api.published('right', event(3));
  assert.deepEqual(await w.store.ids('left'), [first, shared]);
  assert.deepEqual(await w.store.ids('right'), [shared, last]);
  assert.equal(await w.store.cmd('EXISTS', 'weft:{0}:log:elsewhere'), 0, 'topics replaces the topic of the URL');
  const [, inLeft] = await logOf(w.store, 'left');
  const [inRight] = await logOf(w.store, 'right');
  assert.equal(Number(inLeft.prev), seq(first));
  assert.equal(Number(inRight.prev), 0);

  // The event after the shared one proves that no second copy came.
  for (const stream of [both, all]) {
    const got = await stream.take(3);
    assert.deepEqual(got.map((e) => e.id), [first, shared, last]);
  }
  await left.take(2);
  assert.deepEqual(left.events.map((e) => [e.id, e.topic]), [[first, 'left'], [shared, 'left']]);

  // And none comes from the log either.
  const again = await w.follow(node, 'topic=right&topic=left&since=earliest');
  await api.published('right', event(4));
  const replayed = await again.take(4);
  assert.deepEqual(replayed.map((e) => e.payload.n), [1, 2, 3, 4]);
});

story('Idempotency-Key: a retry, on any node, gets the first answer and adds nothing', async (w) => {
  const [a, b] = await w.cluster(2);
  const [onA, onB] = [w.client(a), w.client(b)];
  const key = { 'idempotency-key': 'order:17/"first"-try' };
  const first = await onA.publish('orders', events(1, 3), key);
  assert.equal(first.status, 201);
  assert.equal(first.headers['idempotency-replayed'], undefined);
  for (const api of [onA, onB]) {
    const again = await api.publish('orders', events(1, 3), key);
    assert.equal(again.status, 201);
    assert.equal(again.headers['idempotency-replayed'], 'true');
    assert.deepEqual(again.json, first.json);
  }
  assert.equal(await w.store.cmd('XLEN', 'weft:{0}:log:orders'), 3);
  // The same key on another topic is another key; another key is another event.
  const elsewhere = await onA.publish('invoices', event(1), key);
  assert.equal(elsewhere.headers['idempotency-replayed'], undefined);
  const other = await onA.publish('orders', event(1), { 'idempotency-key': 'another' });
  assert.equal(other.headers['idempotency-replayed'], undefined);
  assert.equal(await w.store.cmd('XLEN', 'weft:{0}:log:orders'), 4);
});

story('fifty retries of one key at the same moment are one event', async (w) => {
  const nodes = await w.cluster(2);
  const clients = nodes.map((node) => w.client(node));
  const answers = await Promise.all(
    Array.from({ length: 50 }, (_, i) => clients[i % 2].publish('orders', event(1), { 'idempotency-key': 'one' })),
  );
  assert.deepEqual([...new Set(answers.map((a) => a.status))], [201]);
  assert.equal(new Set(answers.map((a) => a.json.ids[0])).size, 1);
  assert.equal(answers.filter((a) => a.headers['idempotency-replayed'] === undefined).length, 1);
  assert.equal(await w.store.cmd('XLEN', 'weft:{0}:log:orders'), 1);
});

story('an idempotency key is forgotten when its time is over', async (w) => {
  const [node] = await w.cluster(1, { node: { set: { publish: { idempotency_ttl_ms: 1000 } } } });
  const api = w.client(node);
  const first = await api.published('t', event(1), { 'idempotency-key': 'k' });
  await sleep(1100);
  const second = await api.published('t', event(1), { 'idempotency-key': 'k' });
  assert.notDeepEqual(second, first);
});

story('a batch is taken whole or not at all', async (w) => {
  const [node] = await w.cluster();
  const api = w.client(node);
  const before = (await w.store.cli('DBSIZE')).trim();
  const batch = [event(1), event(2, { topics: ['other'] }), event(3), { type: 'task.status_changed', payload: { from: 'pending' } }];
  const refused = await api.publish('t', batch);
  assert.equal(refused.status, 400);
  assert.equal(refused.json.error.field, '[3].payload.to');
  assert.equal((await w.store.cli('DBSIZE')).trim(), before);
  assert.equal((await w.store.cli('EXISTS', 'weft:{0}:log:t', 'weft:{0}:log:other', 'weft:{0}:topics')).trim(), '0');
  // The refused batch holds no key either: the mended one is taken as new.
  const key = { 'idempotency-key': 'batch' };
  assert.equal((await api.publish('t', batch, key)).status, 400);
  batch[3].payload.to = 'running';
  const taken = await api.publish('t', batch, key);
  assert.equal(taken.status, 201, taken.text);
  assert.equal(taken.headers['idempotency-replayed'], undefined);
  assert.equal(taken.json.ids.length, 4);
});

story('a topic whose key holds something else: refused, and its neighbours in the group are not hurt', async (w) => {
  const [node] = await w.cluster();
  const api = w.client(node);
  await w.store.cmd('SET', 'weft:{0}:log:mine', 'not a stream');
  const answers = await Promise.all([
    ...Array.from({ length: 20 }, (_, n) => api.publish('good', event(n))),
    api.publish('mine', event(0)),
    ...Array.from({ length: 20 }, (_, n) => api.publish('good', event(n))),
  ]);
  const refused = answers.splice(20, 1)[0];
  assert.ok(refused.status >= 400 && refused.status < 600, `status ${refused.status}`);
  assert.deepEqual([...new Set(answers.map((a) => a.status))], [201]);
  assert.equal(await w.store.cmd('XLEN', 'weft:{0}:log:good'), 40);
  assert.equal(await w.store.cmd('GET', 'weft:{0}:log:mine'), 'not a stream');
});

story('a log that was replaced by something else: no 201, and no number is given twice', async (w) => {
  const [node] = await w.cluster();
  const api = w.client(node);
  await api.published('good', { type: 'a' });
  await api.published('spoilt', { type: 'a' });
  await w.store.cmd('DEL', 'weft:{0}:log:spoilt');
  await w.store.cmd('SET', 'weft:{0}:log:spoilt', 'mine');
  const both = await api.publish('good', { type: 'a', topics: ['good', 'spoilt'] });
  assert.equal(both.status, 503, both.text);
  const [after] = await api.published('good', { type: 'a' });
  const ids = await w.store.ids('good');
  assert.equal(ids.at(-1), after);
  assert.equal(new Set(ids.map((id) => id.split('-')[1])).size, ids.length, `a number twice: ${ids}`);
});

story('the clock of Redis went back: ids still grow', async (w) => {
  const [node] = await w.cluster();
  const api = w.client(node);
  await api.published('t', event(1));
  // What the head remembers is ahead of the clock, as it is after that was set back.
  const ahead = Date.now() + 3_600_000;
  await w.store.cmd('HSET', 'weft:{0}:head', 'ms', String(ahead));
  const ids = [...await api.published('t', event(2)), ...await api.published('t', [event(3), event(4)])];
  for (const id of ids) assert.equal(Number(id.split('-')[0]), ahead, `${ids}`);
  assert.deepEqual((await w.store.ids('t')).slice(1), ids);
});

story('publish.unknown_types=refuse: a type without a schema is refused, and nothing is written', async (w) => {
  const [node] = await w.cluster(1, { node: { set: { publish: { unknown_types: 'refuse' } } } });
  const api = w.client(node);
  const known = { type: 'log.append', payload: { level: 'info', message: 'm' } };
  const before = await w.store.fingerprint();
  for (const [body, field] of [[event(1), 'type'], [[known, event(1)], '[1].type']]) {
    const answer = await api.publish('t', body);
    assert.deepEqual([answer.status, answer.json.error.field], [400, field], answer.text);
  }
  assert.equal(await w.store.fingerprint(), before);
  assert.equal((await api.publish('t', known)).status, 201);
});

story('many connections at once: every acknowledged id once, each connection in its order', async (w) => {
  const nodes = await w.cluster(2);
  const writers = 40;
  const each = 50;
  const acked = [];
  await Promise.all(
    Array.from({ length: writers }, async (_, writer) => {
      const api = w.client(nodes[writer % 2]);
      for (let n = 1; n <= each; n++) {
        const [id] = await api.published(`t${writer % 5}`, { type: 'test.counted', payload: { writer, n } });
        acked.push(id);
      }
    }),
  );
  assert.equal(new Set(acked).size, writers * each);
  assert.equal(Number(await w.store.cmd('HGET', 'weft:{0}:head', 'seq')), writers * each);
  for (let topic = 0; topic < 5; topic++) {
    const counts = new Map();
    let prev = 0;
    for (const entry of await logOf(w.store, `t${topic}`)) {
      const { writer, n } = JSON.parse(entry.event).payload;
      assert.equal(n, (counts.get(writer) ?? 0) + 1);
      counts.set(writer, n);
      assert.equal(Number(entry.prev), prev);
      prev = seq(entry.id);
    }
  }
});

const known = {
  'repo.status_changed': { from: 'cloning', to: 'ready' },
  'task.status_changed': { from: 'running', to: 'failed', error_msg: 'no' },
  'doc.created': { doc_id: 'd1', title: 'Title', filename: 'a.md' },
  'task.progress': { phase: 'analysis', percent: 50, message: 'half' },
  'log.append': { level: 'info', message: 'a line' },
};

story('known types with the payload of their schema pass', async (w) => {
  const [node] = await w.cluster();
  const api = w.client(node);
  for (const [type, payload] of Object.entries(known)) {
    const answer = await api.publish('t', { type, payload });
    assert.equal(answer.status, 201, `${type}: ${answer.text}`);
  }
  const list = await api.get('/api/topics/t/events');
  assert.deepEqual(list.json.events.map((e) => [e.type, e.payload]), Object.entries(known));
});

story('keys and producers are those of their topic, however the names are put together', async (w) => {
  const [node] = await w.cluster();
  const api = w.client(node);
  const [outer] = await api.published('repo', event(1), { 'idempotency-key': '42:order' });
  const inner = await api.publish('repo:42', event(2), { 'idempotency-key': 'order' });
  assert.deepEqual([inner.status, inner.headers['idempotency-replayed'] ?? ''], [201, '']);
  assert.notEqual(inner.json.ids[0], outer);
  assert.equal(await w.store.cmd('XLEN', 'weft:{0}:log:repo:42'), 1);
  const numbered = (id, epoch) => ({ 'producer-id': id, 'producer-epoch': String(epoch), 'producer-seq': '0' });
  await api.published('repo', event(3), numbered('42:importer', 7));
  assert.equal((await api.publish('repo:42', event(4), numbered('importer', 1))).status, 201);
});
