// A numbered producer. It says who it is, in which epoch, and which number its first event has; each number is taken once and in
// order, whatever is sent again, by whom, and on which node. Who comes with a newer epoch shuts out what is left of itself.
import assert from 'node:assert/strict';
import { story } from './lib/story.mjs';
import { event, events, RawHttp } from './lib/http.mjs';

function numbered(id, epoch, seq) {
  return { 'producer-id': id, 'producer-epoch': String(epoch), 'producer-seq': String(seq) };
}

// The numbers of the events in a topic's log, in its order.
async function numbersIn(redis, topic) {
  const entries = await redis.cmd('XRANGE', `weft:{0}:log:${topic}`, '-', '+');
  return entries.map(([, fields]) => JSON.parse(fields[fields.indexOf('event') + 1]).payload.n);
}

// How many times something was written, since Redis started.
async function writes(redis) {
  return Number(/rdb_changes_since_last_save:(\d+)/.exec(await redis.cmd('INFO', 'persistence'))[1]);
}

// Status, and what tells the producer how to go on.
function outcome(answer) {
  const { headers, json } = answer;
  if (answer.status === 201) return headers['idempotency-replayed'] ? '201 replayed' : '201';
  if (answer.status === 200) return json.duplicate && json.ids.length === 0 ? '200 duplicate' : '200 ?';
  if (json.error.code === 'fenced') return `${answer.status} fenced by ${headers['producer-epoch']}`;
  if (json.error.code === 'out_of_order') return `${answer.status} expects ${headers['producer-expected-seq']}`;
  return `${answer.status} ${json.error.code}`;
}

// Each row goes on where the one before has left the producer: [epoch, first number, events, outcome].
const rules = [
  [3, 1, 1, '409 expects 0'], // not known
  [3, 0, 2, '201'], // 0, 1
  [3, 0, 2, '201 replayed'],
  [3, 1, 2, '409 expects 2'], // 1 was taken, 2 was not
  [3, 0, 3, '409 expects 2'],
  [3, 3, 1, '409 expects 2'], // a hole
  [3, 2, 3, '201'], // 2, 3, 4
  [3, 2, 3, '201 replayed'],
  [3, 0, 2, '200 duplicate'], // not the last request
  [3, 3, 1, '200 duplicate'], // a part of the last one
  [3, 3, 2, '200 duplicate'],
  [3, 0, 5, '200 duplicate'],
  [2, 5, 1, '403 fenced by 3'],
  [2, 0, 1, '403 fenced by 3'],
  [4, 5, 1, '409 expects 0'], // a new epoch begins with 0
  [3, 5, 1, '201'], // and has not begun
  [4, 0, 1, '201'],
  [3, 6, 1, '403 fenced by 4'],
  [3, 5, 1, '403 fenced by 4'], // though it was taken
  [4, 0, 1, '201 replayed'],
  [9007199254740991, 0, 1, '201'],
  [4, 1, 1, '403 fenced by 9007199254740991'],
];

story(`the ${rules.length} rules, and what is refused writes nothing`, async (w) => {
  const [node] = await w.cluster();
  const api = w.client(node);
  const answers = new Map();
  const got = [];
  let taken = [];
  for (const [epoch, seq, n] of rules) {
    const before = await w.store.fingerprint();
    const written = await writes(w.store);
    const answer = await api.publish('t', events(seq, seq + n - 1), numbered('p', epoch, seq));
    got.push([epoch, seq, n, outcome(answer)]);
    const same = `${epoch} ${seq} ${n}`;
    if (answer.status === 201 && !answers.has(same)) {
      answers.set(same, answer.json.ids);
      taken = taken.concat(answer.json.ids);
    } else {
      assert.equal(await w.store.fingerprint(), before, `${got.at(-1)}`);
      // A duplicate lets the state live on, by which a WAIT behind it covers the first time.
      assert.equal(await writes(w.store) - written, answer.status < 300 ? 1 : 0, `${got.at(-1)}`);
    }
    if (answer.status === 201) assert.deepEqual(answer.json.ids, answers.get(same));
  }
  assert.deepEqual(got, rules);
  assert.deepEqual(await w.store.ids('t'), taken);
  assert.deepEqual(await numbersIn(w.store, 't'), [0, 1, 2, 3, 4, 5, 0, 0]);
  const refused = rules.filter(([, , , how]) => /^4/.test(how)).length;
  assert.equal(await node.metric('weft_publish_rejected_total'), refused);
  assert.equal(await node.metric('weft_publish_fenced_total'), rules.filter(([, , , how]) => /fenced/.test(how)).length);
});

story('numbers are those of a topic of the URL: elsewhere the same producer begins with 0', async (w) => {
  const [node] = await w.cluster();
  const api = w.client(node);
  assert.equal(outcome(await api.publish('a', events(0, 4), numbered('p', 1, 0))), '201');
  assert.equal(outcome(await api.publish('b', event(5), numbered('p', 1, 5))), '409 expects 0');
  assert.equal(outcome(await api.publish('a', event(0), numbered('q', 1, 0))), '201');
  // Events may go to other topics; it is the URL's that counts.
  const elsewhere = event(5, { topics: ['x', 'y'] });
  assert.equal(outcome(await api.publish('a', elsewhere, numbered('p', 1, 5))), '201');
  assert.equal(outcome(await api.publish('a', elsewhere, numbered('p', 1, 5))), '201 replayed');
  assert.deepEqual(await numbersIn(w.store, 'x'), [5]);
  assert.deepEqual(await w.store.ids('x'), await w.store.ids('y'));
  const lines = events(6, 8).map((e) => JSON.stringify(e)).join('\n');
  assert.equal(outcome(await api.publish('a', lines, { 'content-type': 'application/x-ndjson', ...numbered('p', 1, 6) })), '201');
  assert.equal(outcome(await api.publish('a', event(9), numbered('p', 1, 9))), '201');
});

story('every publish three times, in two epochs, on two nodes, in any order: one copy of each', async (w) => {
  const nodes = await w.cluster(2);
  const clients = nodes.map((node) => w.client(node));
  const random = w.random();
  for (const epoch of [1, 2]) {
    for (let seq = 0; seq < 60; ) {
      const n = random.between(1, 4);
      const body = events(1000 * epoch + seq, 1000 * epoch + seq + n - 1);
      const three = await Promise.all([0, 1, 2].map(() => random.pick(clients).publish('t', body, numbered('p', epoch, seq))));
      assert.deepEqual(three.map((a) => a.status), [201, 201, 201]);
      assert.equal(three.filter((a) => outcome(a) === '201').length, 1);
      assert.equal(new Set(three.map((a) => a.json.ids.join())).size, 1);
      if (epoch === 2 && random.chance(0.3)) {
        const zombie = await random.pick(clients).publish('t', event(-1), numbered('p', 1, 60 + seq));
        assert.equal(outcome(zombie), '403 fenced by 2');
      }
      seq += n;
    }
  }
  const numbers = await numbersIn(w.store, 't');
  assert.equal(new Set(numbers).size, numbers.length, 'each once');
  assert.deepEqual(numbers, [...numbers].sort((a, b) => a - b), 'in order');
  assert.ok(numbers.every((n) => n >= 1000), 'nothing of the zombie');
});

// The bytes of a publish.
function request(topic, body, headers) {
  const text = JSON.stringify(body);
  const lines = Object.entries(headers).map(([name, value]) => `${name}: ${value}\r\n`);
  return `POST /api/topics/${topic}/events HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n${lines.join('')}Content-Length: ${text.length}\r\n\r\n${text}`;
}

story('fifty requests pipelined on one connection, in one piece: all taken, in order', async (w) => {
  const [node] = await w.cluster();
  const raw = new RawHttp(node.port);
  let bytes = '';
  for (let seq = 0; seq < 50; seq++) bytes += request('t', event(seq), numbered('p', 1, seq));
  await raw.write(bytes);
  for (let seq = 0; seq < 50; seq++) assert.equal((await raw.response()).status, 201, `number ${seq}`);
  raw.destroy();
  assert.deepEqual(await numbersIn(w.store, 't'), Array.from({ length: 50 }, (_, i) => i));
});

story('in one group commit: a producer whose events go to several topics is not reordered by them', async (w) => {
  // One worker, and a Redis that stands still while requests of many connections arrive, one after the other.
  const [node] = await w.cluster(1, { node: { env: { WEFT_WORKERS: '1' } } });
  const api = w.client(node);
  await api.published('warm', event(0));
  w.store.program.signal('SIGSTOP');
  const first = api.publish('warm', event(1)); // the call under way
  await node.metricReaches('weft_publish_batches_total', 2);
  const waiting = [api.publish('a', event(-1))];
  for (let seq = 0; seq < 20; seq++) {
    waiting.push(api.publish('t', event(seq, { topics: [seq % 2 ? 'a' : 'z'] }), numbered('p', 1, seq)));
    await node.metricReaches('weft_publish_requests_total', seq + 4);
  }
  w.store.program.signal('SIGCONT');
  const answers = await Promise.all([first, ...waiting]);
  assert.deepEqual(answers.map(outcome), answers.map(() => '201'));
  assert.equal(await node.metric('weft_publish_batches_total'), 3, 'they were one call');
});

story('in one group commit: what is refused leaves its neighbours alone', async (w) => {
  const [node] = await w.cluster(1, { node: { env: { WEFT_WORKERS: '1' } } });
  const api = w.client(node);
  await api.published('t', event(0), numbered('new', 2, 0));
  await w.store.cmd('SET', 'weft:{0}:producer:t/spoilt', 'mine');
  w.store.program.signal('SIGSTOP');
  const first = api.publish('t', event(1));
  await node.metricReaches('weft_publish_batches_total', 2);
  const rows = [
    [event(2), {}],
    [event(3), numbered('new', 1, 1)],
    [event(4), numbered('unknown', 1, 7)],
    [event(5), numbered('spoilt', 1, 0)],
    [event(6), numbered('new', 2, 1)],
    [event(6), numbered('new', 2, 1)],
    [event(7), { 'idempotency-key': 'k' }],
    [event(8), {}],
  ];
  const waiting = rows.map(([body, headers]) => api.publish('t', body, headers));
  await node.metricReaches('weft_publish_requests_total', 2 + rows.length);
  w.store.program.signal('SIGCONT');
  const answers = await Promise.all(waiting);
  await first;
  assert.deepEqual(answers.map(outcome).map((how, i) => (i === 4 || i === 5 ? how.slice(0, 3) : how)), [
    '201', '403 fenced by 2', '409 expects 0', '409 conflict', '201', '201', '201', '201',
  ]);
  assert.deepEqual((await numbersIn(w.store, 't')).sort(), [0, 1, 2, 6, 7, 8]);
  assert.equal(await w.store.cmd('HGET', 'weft:{0}:head', 'seq'), '6', 'refused events took no number');
});

story('two nodes race with the same producer: each number once', async (w) => {
  const nodes = await w.cluster(2);
  const clients = nodes.map((node) => w.client(node));
  // Both go on from the last number that they know of, as two copies of one program would.
  const run = async (api, name) => {
    for (let seq = 0; seq < 100; ) {
      const answer = await api.publish('t', event(seq, { source: name }), numbered('p', 1, seq));
      if (answer.status === 409) seq = Number(answer.headers['producer-expected-seq']);
      else if (answer.status === 200 || answer.status === 201) seq++;
      else assert.fail(answer.text);
    }
  };
  await Promise.all([run(clients[0], 'a'), run(clients[1], 'b')]);
  assert.deepEqual(await numbersIn(w.store, 't'), Array.from({ length: 100 }, (_, i) => i));
});

story('a zombie: the older copy of a program is told so, and by whom', async (w) => {
  const nodes = await w.cluster(2);
  const [onA, onB] = nodes.map((node) => w.client(node));
  await onA.published('t', events(0, 4), numbered('p', 7, 0));
  await onB.published('t', event(10), numbered('p', 8, 0)); // started again elsewhere
  const late = await onA.publish('t', event(5), numbered('p', 7, 5));
  assert.equal(outcome(late), '403 fenced by 8');
  assert.equal(late.json.error.field, 'Producer-Epoch');
  assert.deepEqual(await numbersIn(w.store, 't'), [0, 1, 2, 3, 4, 10]);
});

story('Redis is killed and started again: the numbers go on', async (w) => {
  const [node] = await w.cluster();
  const api = w.client(node);
  const first = await api.published('t', events(0, 2), numbered('p', 1, 0));
  const from = node.logLength;
  await w.store.restart();
  await node.logged('redis.connected', { from, where: (line) => line.connection.endsWith('-read') });
  await node.metricReaches('weft_redis_up', 1);
  const again = await api.publish('t', events(0, 2), numbered('p', 1, 0));
  assert.equal(outcome(again), '201 replayed');
  assert.deepEqual(again.json.ids, first);
  assert.equal(outcome(await api.publish('t', event(4), numbered('p', 1, 4))), '409 expects 3');
  assert.equal(outcome(await api.publish('t', event(3), numbered('p', 1, 3))), '201');
});

story('a producer that was silent for long is not known any more', async (w) => {
  const [node] = await w.cluster(1, { node: { set: { publish: { producer_ttl_ms: 60_000 } } } });
  const api = w.client(node);
  const key = 'weft:{0}:producer:t/p';
  await api.published('t', event(0), numbered('p', 1, 0));
  for (const seq of [1, 1]) { // the next event, and a duplicate: each lets it live on
    await w.store.cmd('PEXPIRE', key, '1000');
    await api.published('t', event(seq), numbered('p', 1, seq));
    assert.ok(await w.store.cmd('PTTL', key) > 30_000);
  }
  await w.store.cmd('DEL', key);
  assert.equal(outcome(await api.publish('t', event(2), numbered('p', 1, 2))), '409 expects 0');
  assert.equal(outcome(await api.publish('t', event(2), numbered('p', 2, 0))), '201');
});

story('an idempotency key that comes again is written again too, and lives no longer for it', async (w) => {
  const [node] = await w.cluster();
  const api = w.client(node);
  const key = { 'idempotency-key': 'k' };
  await api.published('t', event(0), key);
  await w.store.cmd('PEXPIRE', 'weft:{0}:once:t/k', '30000');
  const written = await writes(w.store);
  assert.equal(outcome(await api.publish('t', event(0), key)), '201 replayed');
  assert.equal(await writes(w.store), written + 1);
  assert.ok(await w.store.cmd('PTTL', 'weft:{0}:once:t/k') <= 30_000);
});
