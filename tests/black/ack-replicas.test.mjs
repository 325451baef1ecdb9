// ?ack=replicas:N. The publisher gets its 201 when N replicas have the events too; if they do not in time, it is told so, and a
// retry with a key or with its numbers waits for the replicas again and adds nothing. Nobody else waits.
import assert from 'node:assert/strict';
import path from 'node:path';
import { mkdirSync } from 'node:fs';
import { story } from './lib/story.mjs';
import { event, events } from './lib/http.mjs';
import { Redis } from './lib/redis.mjs';
import { until } from './lib/wait.mjs';

// A Redis, a replica of it that is in step, and nodes on the first.
async function replicated(w, n = 1, ack_timeout_ms = 30_000) {
  await w.redis({ args: ['--repl-diskless-sync-delay', '0'] });
  const folder = path.join(w.folder, 'replica');
  mkdirSync(folder);
  const replica = new Redis(folder);
  w.stores.push(replica);
  await replica.start({ args: ['--replicaof', '127.0.0.1', String(w.store.port)] });
  await until(async () => /master_link_status:up/.test(await replica.cmd('INFO', 'replication')), { what: 'the replica to be in step' });
  await until(async () => /state=online/.test(await w.store.cmd('INFO', 'replication')), { what: 'the master to see it' });
  const nodes = await w.cluster(n, { node: { env: { WEFT_WORKERS: '1' }, set: { publish: { ack_timeout_ms } } } });
  return { replica, nodes };
}

// A publish that waits for n replicas.
function acked(api, topic, body, n = 1, headers = {}) {
  return api.send('POST', `/api/topics/${topic}/events?ack=replicas:${n}`, {
    headers: { 'content-type': 'application/json', ...headers },
    body: JSON.stringify(body),
  });
}

function stop(redis) {
  redis.program.signal('SIGSTOP');
}

function goOn(redis) {
  redis.program.signal('SIGCONT');
}

function checkMissing(answer, has, wanted) {
  assert.equal(answer.status, 503, answer.text);
  assert.equal(answer.json.error.code, 'replicas');
  assert.equal(answer.json.error.message, `${has} of ${wanted} replicas have it; the events are in the log of the master and may be delivered`);
  assert.equal(answer.headers['weft-replicas'], String(has));
  assert.match(answer.headers['retry-after'], /^\d+$/);
}

story('when the answer is there, the replica has the events', async (w) => {
  const { replica, nodes: [node] } = await replicated(w);
  const api = w.client(node);
  const all = [];
  for (let n = 0; n < 30; n++) {
    const answer = await acked(api, 't', n % 3 === 0 ? events(1, 5) : event(n));
    assert.equal(answer.status, 201, answer.text);
    assert.equal(answer.headers['weft-replicas'], '1');
    all.push(...answer.json.ids);
    assert.deepEqual(await replica.ids('t'), all);
  }
  const plain = await api.publish('t', event(0));
  assert.equal(plain.headers['weft-replicas'], undefined);
  const cloud = { specversion: '1.0', id: '1', source: 's', type: 'a' };
  const [one, two] = await Promise.all([0, 1].map(() => acked(api, 'ce', cloud, 1, { 'content-type': 'application/cloudevents+json' })));
  assert.deepEqual(one.json.ids, two.json.ids);
});

story('too few replicas: 503 that says how many, and the events are in the master', async (w) => {
  const { replica, nodes: [node] } = await replicated(w, 1, 2000);
  const api = w.client(node);
  const two = await acked(api, 't', event(1), 2);
  checkMissing(two, 1, 2);
  stop(replica);
  const none = await acked(api, 't', event(2));
  checkMissing(none, 0, 1);
  goOn(replica);
  assert.equal((await w.store.ids('t')).length, 2);
  assert.equal(await node.metric('weft_publish_replicas_missing_total'), 2);
  const { json } = await api.get('/api/topics/t/events');
  assert.deepEqual(json.events.map((e) => e.payload.n), [1, 2]);
  // It may take the replica a while to catch up.
  await until(async () => (await acked(api, 't', event(3))).status === 201, { what: 'the replica to be back' });
});

story('while one waits for a stopped replica, the others are served', async (w) => {
  const { replica, nodes: [node] } = await replicated(w);
  const api = w.client(node);
  const stream = await w.follow(node, 'topic=t');
  stop(replica);
  let answered = false;
  const waiting = acked(api, 't', event(0)).then((answer) => {
    answered = true;
    return answer;
  });
  await stream.take(1); // it is in the log, and delivered
  assert.equal(answered, false);
  for (let n = 1; n <= 50; n++) await api.published('t', event(n));
  assert.deepEqual((await stream.take(51)).map((e) => e.payload.n), events(0, 50).map((e) => e.payload.n));
  assert.equal((await api.get('/api/topics/t')).json.length, 51);
  assert.equal(answered, false);
  goOn(replica);
  assert.equal((await waiting).status, 201);
});

story('what comes while others wait is one group commit', async (w) => {
  const { replica, nodes: [node] } = await replicated(w);
  const api = w.client(node);
  stop(replica);
  const first = acked(api, 't', event(0));
  await node.metricReaches('weft_publish_batches_total', 1);
  const rest = Array.from({ length: 25 }, (_, i) => acked(api, 't', event(i), 1, { 'producer-id': `p${i}`, 'producer-epoch': '1', 'producer-seq': i === 7 ? '7' : '0' }));
  await node.metricReaches('weft_publish_queue_events', 25);
  goOn(replica);
  const answers = await Promise.all([first, ...rest]);
  assert.deepEqual(answers.map((a) => a.status), answers.map((_, i) => (i === 8 ? 409 : 201)));
  assert.equal(await node.metric('weft_publish_batches_total'), 2);
  assert.equal((await replica.ids('t')).length, 25);
});

story('a retry waits for the replicas again, also at a node that has written nothing, and adds nothing', async (w) => {
  const { replica, nodes } = await replicated(w, 2, 300);
  const [onA, onB] = nodes.map((node) => w.client(node));
  const number = (seq) => ({ 'producer-id': 'p', 'producer-epoch': '1', 'producer-seq': String(seq) });
  const rows = [
    ['keyed', { 'idempotency-key': 'k' }, '201 true'],
    ['numbered', number(0), '201 true'],
    ['older', number(0), '200 undefined'],
  ];
  await onA.published('older', event(0), number(0));
  stop(replica);
  await onA.published('older', event(1), number(1));
  for (const [topic, headers] of rows) checkMissing(await acked(onA, topic, event(0), 1, headers), 0, 1);
  for (const api of [onB, onA]) {
    for (const [topic, headers] of rows) checkMissing(await acked(api, topic, event(0), 1, headers), 0, 1);
  }
  goOn(replica);
  // It has to catch up first, in its own time.
  await until(async () => (await acked(onA, 'other', event(9), 1)).status === 201, { what: 'the replica to follow again' });
  for (const api of [onB, onA]) {
    for (const [topic, headers, how] of rows) {
      const answer = await acked(api, topic, event(0), 1, headers);
      assert.equal(`${answer.status} ${answer.headers['idempotency-replayed']}`, how, answer.text);
      assert.equal(answer.headers['weft-replicas'], '1');
      assert.deepEqual(await replica.ids(topic), await w.store.ids(topic));
      assert.equal((await w.store.ids(topic)).length, topic === 'older' ? 2 : 1);
    }
  }
});

story('who waits behind others longer than that is refused, and nothing of it is written', async (w) => {
  const { replica, nodes: [node] } = await replicated(w, 1, 300);
  const api = w.client(node);
  stop(replica);
  // One call after the other, since each asks for another number of replicas.
  const answers = await Promise.all(Array.from({ length: 12 }, (_, i) => acked(api, `t${i}`, event(i), 1 + (i % 2))));
  const codes = answers.map((a) => a.json.error.code);
  assert.deepEqual([...new Set(codes)].sort(), ['busy', 'replicas']);
  for (const [i, code] of codes.entries()) {
    assert.equal((await w.store.ids(`t${i}`)).length, code === 'busy' ? 0 : 1, code);
  }
  goOn(replica);
});

story('the connection that waits is lost: 503 for who waits on it, nobody else notices', async (w) => {
  const { replica, nodes: [node] } = await replicated(w);
  const api = w.client(node);
  const stream = await w.follow(node, 'topic=t');
  stop(replica);
  const waiting = acked(api, 't', event(0));
  await stream.take(1);
  const line = (await w.store.cmd('CLIENT', 'LIST')).split('\n').find((l) => l.includes('name=weft-a-ack '));
  await w.store.cmd('CLIENT', 'KILL', 'ID', /^id=(\d+)/.exec(line)[1]);
  const lost = await waiting;
  assert.equal(lost.status, 503);
  assert.equal(lost.json.error.code, 'unavailable');
  assert.equal(lost.json.error.written, undefined, 'it is in the log');
  await api.published('t', event(1));
  await stream.take(2);
  assert.deepEqual(stream.all.map((e) => e.type), ['weft.open', 'test.counted', 'test.counted'], 'the stream was told of nothing');
  goOn(replica);
  await until(async () => (await acked(api, 't', event(2))).status === 201, { what: 'the connection to be back' });
});

story('functions that were flushed are loaded again', async (w) => {
  const { replica, nodes: [node] } = await replicated(w);
  const api = w.client(node);
  await w.store.cmd('FUNCTION', 'FLUSH');
  const answers = await Promise.all(Array.from({ length: 10 }, (_, n) => acked(api, 't', event(n))));
  assert.deepEqual(answers.map((a) => [a.status, a.headers['weft-replicas']]), answers.map(() => [201, '1']));
  assert.equal((await replica.ids('t')).length, 10);
});
