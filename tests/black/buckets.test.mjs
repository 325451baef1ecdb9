// Token buckets of a cluster. Three nodes that take from one bucket together get what it holds and what comes in, no token more
// and hardly one less; several buckets are taken from all at once or not at all; a refusal changes nothing; a dry run counts
// what it lets pass; and with Redis away each bucket does as it was told.
import assert from 'node:assert/strict';
import { story } from './lib/story.mjs';
import { bin, cleanEnv } from './lib/node.mjs';
import { run } from './lib/process.mjs';
import { deadline, QUICK, SLOW, sleep, until } from './lib/wait.mjs';

function api(w, node) {
  const client = w.client(node);
  const send = (method, path, body) => client.send(method, path, { body: body === undefined ? undefined : JSON.stringify(body) });
  return {
    send,
    put: async (name, conf) => {
      const answer = await send('PUT', `/api/limits/${name}`, conf);
      assert.ok(answer.status === 201 || answer.status === 200, answer.text);
      return answer.json;
    },
    look: async (name) => (await send('GET', `/api/limits/${name}`)).json,
    take: (name, tokens) => send('POST', `/api/limits/${name}/take`, tokens === undefined ? undefined : { tokens }),
    several: (take) => send('POST', '/api/limits/take', { take }),
  };
}

async function redisMs(w) {
  const [s, us] = await w.store.cmd('TIME');
  return Number(s) * 1000 + Math.floor(Number(us) / 1000);
}

const hash = (w, name) => w.store.cmd('HGETALL', `weft:bucket:{${name}}`);
const field = async (w, name, what) => Number(await w.store.cmd('HGET', `weft:bucket:{${name}}`, what));

// Everybody takes one token after the other until Redis's clock says that it is over. Returns what was answered.
async function storm(w, apis, name, ms, lanes = 8) {
  const end = (await redisMs(w)) + ms;
  const by = {};
  let [granted, refused, over] = [0, 0, false];
  const watch = (async () => {
    while ((await redisMs(w)) < end) await sleep(20);
    over = true;
  })();
  const lane = async (a) => {
    while (!over) {
      const answer = await a.take(name);
      assert.equal(answer.status, 200, answer.text);
      by[answer.json.by] = (by[answer.json.by] ?? 0) + 1;
      if (answer.json.allowed) granted++;
      else refused++;
    }
  };
  await Promise.all([watch, ...apis.flatMap((a) => Array.from({ length: lanes }, () => lane(a)))]);
  return { granted, refused, by };
}

story('three nodes, one exact bucket: all that comes in goes out, and nothing else', async (w) => {
  const nodes = await w.cluster(3);
  const apis = nodes.map((node) => api(w, node));
  // More room than can come in meanwhile, since a full bucket loses tokens; and fewer than are asked for.
  const [rate, capacity, held] = [200, 60_000, 50];
  await apis[0].put('shared', { capacity, refill_per_s: rate });
  assert.equal((await apis[0].take('shared', capacity - held)).json.allowed, true);
  assert.equal(await field(w, 'shared', 'tokens'), held);
  const begin = await field(w, 'shared', 'at_ms');
  const { granted, refused, by } = await storm(w, apis, 'shared', QUICK ? 1500 : 10_000);
  const until_ms = await field(w, 'shared', 'at_ms'); // of the last token taken
  const left = await field(w, 'shared', 'tokens'); // behind that one
  const could = held + (rate * (until_ms - begin)) / 1000;
  w.note(`${granted} granted and ${left} left of ${could}, ${refused} refused, ${until_ms - begin} ms`);
  assert.deepEqual(Object.keys(by), ['redis']);
  assert.ok(refused > 0, 'more was asked for than there was');
  assert.ok(Math.abs(granted + left - could) < 1e-6, `${granted} + ${left} of ${could}`);
}, { timeout: 120_000 });

story('three nodes, one leased bucket: never more than comes in and what lies at hand, and mostly without Redis', async (w) => {
  const nodes = await w.cluster(3);
  const apis = nodes.map((node) => api(w, node));
  const [rate, burst] = [Math.round(2000 / SLOW), 1000];
  await apis[0].put('shared', { capacity: burst, refill_per_s: rate, mode: 'leased' });
  const begin = await redisMs(w);
  const first = await storm(w, apis, 'shared', QUICK ? 1000 : 3000);
  const could = burst + (rate * ((await redisMs(w)) - begin)) / 1000;
  w.note(`${first.granted} granted of ${could.toFixed(1)}, ${JSON.stringify(first.by)}`);
  assert.ok(first.granted <= could, `${first.granted} of ${could}`);
  assert.ok(first.by.lease > 0, JSON.stringify(first.by));
  // Idle tokens go back: in the end the bucket holds all again.
  await until(async () => (await apis[1].look('shared')).remaining === burst, { what: 'the bucket to be full' });
  for (const node of nodes) await node.metricReaches('weft_bucket_stocks', 0);
  // In a window that begins when the workers have tokens at hand: 5 % of 1,000 for each of three nodes.
  await storm(w, apis, 'shared', 100, 1);
  const again = await redisMs(w);
  const second = await storm(w, apis, 'shared', 500);
  const bound = burst + (rate * ((await redisMs(w)) - again)) / 1000 + 3 * 50;
  assert.ok(second.granted <= bound, `${second.granted} of ${bound}`);
  // As long as it is not empty, Redis is asked for many tokens at a time.
  await apis[0].put('ample', { capacity: 100_000, refill_per_s: 1_000_000, mode: 'leased' });
  const easy = await storm(w, apis, 'ample', 500);
  assert.equal(easy.refused, 0);
  assert.ok(easy.by.lease > 0.9 * easy.granted, JSON.stringify(easy.by));
}, { timeout: 120_000 });

story('what is set at one node holds at all', async (w) => {
  const nodes = await w.cluster(2);
  const [a, b] = nodes.map((node) => api(w, node));
  await a.put('x', { capacity: 1000, refill_per_s: 0.001, mode: 'leased' });
  await until(async () => (await b.take('x')).json.by === 'lease', { what: 'b to have tokens at hand' });
  const changed = await a.put('x', { capacity: 1000, refill_per_s: 0.001 });
  assert.equal(changed.mode, 'exact');
  await nodes[1].metricReaches('weft_bucket_stocks', 0);
  assert.equal((await b.take('x')).json.by, 'redis');
  // What was at hand went back, all but the tokens that were used.
  await until(async () => (await a.look('x')).remaining > 990, { what: 'the tokens to be back' });
  await a.put('x', { capacity: 10, refill_per_s: 0.001 });
  assert.equal((await b.look('x')).remaining, 10);
  assert.equal((await a.send('DELETE', '/api/limits/x')).status, 204);
  assert.equal((await b.take('x')).status, 404);
  assert.equal(await w.store.cmd('EXISTS', 'weft:bucket:{x}'), 0);
});

story('several at once: all or nothing, whoever asks at the same time', async (w) => {
  const nodes = await w.cluster(3);
  const apis = nodes.map((node) => api(w, node));
  await apis[0].put('few', { capacity: 5, refill_per_s: 0.001 });
  await apis[0].put('many', { capacity: 1000, refill_per_s: 0.001 });
  const answers = await Promise.all(Array.from({ length: 60 }, (_, i) =>
    apis[i % 3].several([{ bucket: 'few' }, { bucket: 'many', tokens: 10 }])));
  assert.equal(answers.filter((answer) => answer.json.allowed).length, 5);
  assert.equal((await apis[1].look('few')).remaining, 0);
  assert.equal((await apis[1].look('many')).remaining, 950);
  const no = answers.find((answer) => !answer.json.allowed);
  assert.deepEqual(no.json.buckets.map(({ bucket, enough }) => [bucket, enough]), [['few', false], ['many', true]]);
  assert.ok(no.json.retry_after_ms > 0 && Number(no.headers['retry-after']) > 0);
  // One that is not there, or can never hold as many, changes nothing either.
  const before = [await hash(w, 'few'), await hash(w, 'many')];
  const unknown = await apis[2].several([{ bucket: 'many' }, { bucket: 'none' }]);
  assert.deepEqual([unknown.status, unknown.json.error.field], [404, 'bucket']);
  const never = await apis[2].several([{ bucket: 'many' }, { bucket: 'few', tokens: 6 }]);
  assert.deepEqual([never.status, never.json.error.field], [400, 'tokens']);
  assert.deepEqual([await hash(w, 'few'), await hash(w, 'many')], before);
});

story('a refusal costs nothing, a dry run counts', async (w) => {
  const [node] = await w.cluster(1);
  const a = api(w, node);
  await a.put('x', { capacity: 3, refill_per_s: 0.001 });
  const first = await a.take('x', 3);
  assert.deepEqual([first.json.allowed, first.json.remaining], [true, 0]);
  const before = await hash(w, 'x');
  for (let i = 0; i < 50; i++) {
    const answer = await a.take('x');
    assert.equal(answer.json.allowed, false);
    assert.ok(answer.json.retry_after_ms > 900_000 && answer.json.retry_after_ms <= 1_000_000);
  }
  assert.deepEqual(await hash(w, 'x'), before);
  await a.put('dry', { capacity: 3, refill_per_s: 0.001, dry_run: true });
  const answers = [];
  for (let i = 0; i < 10; i++) answers.push((await a.take('dry')).json);
  assert.ok(answers.every((answer) => answer.allowed));
  assert.deepEqual(answers.map((answer) => answer.would_refuse === true), [...Array(3).fill(false), ...Array(7).fill(true)]);
  assert.equal((await a.look('dry')).would_refuse, 7);
  assert.equal(await node.metric('weft_bucket_would_refuse_total'), 7);
});

story('a check is for proxies: its status says it, its headers say the rest', async (w) => {
  const [node] = await w.cluster(1);
  const a = api(w, node);
  await a.put('page', { capacity: 2, refill_per_s: 0.5 });
  const yes = await a.send('GET', '/api/limits/page/check');
  assert.equal(yes.status, 200);
  assert.equal(yes.headers['ratelimit-policy'], '"page";q=2;w=4');
  assert.match(yes.headers.ratelimit, /^"page";r=1;t=\d$/);
  assert.deepEqual([yes.headers['ratelimit-limit'], yes.headers['ratelimit-remaining']], ['2', '1']);
  assert.equal(yes.headers['retry-after'], undefined);
  await a.send('GET', '/api/limits/page/check');
  const no = await a.send('GET', '/api/limits/page/check?tokens=2');
  assert.equal(no.status, 429);
  assert.match(no.headers['retry-after'], /^[1-4]$/);
  // Envoy asks with the request's own method, and path and query behind the prefix.
  await a.put('any', { capacity: 3, refill_per_s: 0.001 });
  const envoy = [['GET', '/'], ['POST', '/some/page?tokens=x&y'], ['DELETE', '/%zz'], ['PUT', '/api/limits/page']];
  const asked = [];
  for (const [method, path] of envoy) asked.push((await a.send(method, `/api/limits/any/check${path}`)).status);
  assert.deepEqual(asked, [200, 200, 200, 429]);
  assert.equal((await a.send('POST', '/api/limits/any/check')).status, 405);
  // nginx's auth_request knows 401 and 403 alone.
  assert.equal((await a.send('GET', '/api/limits/page/check?tokens=2&refused=403')).status, 403);
});

const away = ['open', 'closed', 'local'];

// With Redis away, each bucket as it was told; local: each of three nodes has a third.
async function asTold(nodes, apis) {
  const told = {};
  for (const name of away) {
    told[name] = [];
    for (let i = 0; i < 12; i++) told[name].push((await apis[0].take(name)).json);
  }
  assert.ok(told.open.every((answer) => answer.allowed && answer.by === 'open'), JSON.stringify(told.open));
  assert.ok(told.closed.every((answer) => !answer.allowed && answer.by === 'closed' && answer.retry_after_ms > 0));
  assert.equal(told.local.filter((answer) => answer.allowed).length, 10);
  assert.ok(told.local.every((answer) => answer.by === 'local'));
  const other = [];
  for (let i = 0; i < 12; i++) other.push((await apis[1].take('local')).json.allowed);
  assert.equal(other.filter(Boolean).length, 10);
}

story('Redis away: open, closed, or a share of its own; then as before', async (w) => {
  const nodes = await w.cluster(3, { node: { set: { limits: { redis_wait_ms: 50 } } } });
  const apis = nodes.map((node) => api(w, node));
  for (const name of away) await apis[0].put(name, { capacity: 30, refill_per_s: 0.001, without_redis: name });
  const byRedis = () => Promise.all(apis.flatMap((a) => away.map((name) =>
    until(async () => (await a.take(name)).json.by === 'redis', { what: 'Redis to decide' }))));
  await byRedis();
  for (const node of nodes) await node.metricReaches('weft_bucket_nodes', 3);

  // It stands still: the first take waits for it, the others do not.
  w.store.program.signal('SIGSTOP');
  try {
    const began = performance.now();
    await apis[2].take('open');
    const first = performance.now() - began;
    const later = performance.now();
    await apis[2].take('open');
    w.note(`Redis stands still: the first take took ${first.toFixed(1)} ms (limits.redis_wait_ms is 50), the next ${(performance.now() - later).toFixed(1)} ms`);
    await apis[0].take('open');
    await apis[1].take('open');
    await asTold(nodes, apis);
  } finally {
    w.store.program.signal('SIGCONT');
  }
  await byRedis();
  assert.ok((await nodes[0].metric('weft_bucket_late_total')) >= 1);
  assert.ok((await nodes[0].metric('weft_bucket_without_redis_total')) >= 36);

  // It stands still once more: the share of a node has not become full by that.
  w.store.program.signal('SIGSTOP');
  try {
    const again = await until(async () => { const { json } = await apis[0].take('local'); return json.by === 'local' && json; }, { what: 'the node to decide' });
    assert.equal(again.allowed, false);
    const large = await apis[0].send('POST', '/api/limits/local/take', { tokens: 20 }); // more than a share, not more than the bucket
    assert.equal(large.status, 200);
    assert.equal(large.json.allowed, false);
    assert.equal(large.json.capacity ?? large.json.limit, 30);
  } finally {
    w.store.program.signal('SIGCONT');
  }
  await byRedis();
  await apis[0].put('local', { capacity: 30, refill_per_s: 0.001, without_redis: 'local' }); // begins anew
  await byRedis();

  // It is killed.
  await w.store.kill();
  for (const node of nodes) await node.logged('redis.unreachable', { where: (line) => /-control$/.test(line.connection) });
  await asTold(nodes, apis);
  assert.equal((await apis[0].send('PUT', '/api/limits/x', { capacity: 1, refill_per_s: 1 })).status, 503);
  assert.equal((await apis[0].send('GET', '/api/limits')).status, 503);
  await w.store.restart();
  await byRedis();
  // What is set goes to all nodes by a channel, which this one hears again a little later.
  await until(async () => (await apis[0].send('PUT', '/api/limits/x', { capacity: 1, refill_per_s: 1 })).status === 201, { what: 'a bucket to be set' });
}, { timeout: 120_000 });

story('somebody flushes the functions: they are loaded, and the takes are executed', async (w) => {
  const nodes = await w.cluster(2);
  const apis = nodes.map((node) => api(w, node));
  await apis[0].put('x', { capacity: 100, refill_per_s: 0.001 });
  await w.store.cmd('FUNCTION', 'FLUSH');
  const answers = await Promise.all(Array.from({ length: 40 }, (_, i) => apis[i % 2].take('x')));
  assert.ok(answers.every(({ json }) => json.allowed && json.by === 'redis'), JSON.stringify(answers.map(({ json }) => json)));
  assert.equal((await apis[0].look('x')).remaining, 60);
});

story('the list goes page by page', async (w) => {
  const [node] = await w.cluster(1, { node: { set: { limits: { max_buckets: 25 } } } });
  const a = api(w, node);
  const names = Array.from({ length: 25 }, (_, i) => `b${String(i).padStart(2, '0')}`);
  for (const name of names) await a.put(name, { capacity: 5, refill_per_s: 1.25 });
  const found = [];
  for (let after = ''; ;) {
    const { json } = await a.send('GET', `/api/limits?limit=10${after && `&after=${after}`}`);
    found.push(...json.buckets.map(({ bucket }) => bucket));
    if (!json.next) break;
    after = json.next;
  }
  assert.deepEqual(found, names);
  const full = await a.send('PUT', '/api/limits/more', { capacity: 5, refill_per_s: 1 });
  assert.deepEqual([full.status, full.json.error.code], [409, 'full']);
  assert.equal((await a.send('PUT', '/api/limits/b00', { capacity: 6, refill_per_s: 1 })).status, 200);
});

story('from the command line', async (w) => {
  const [node] = await w.cluster(1);
  const weft = (...args) => run(bin('weft'), ['limits', ...args], { env: cleanEnv({ WEFT_URL: node.origin }) });
  const set = await weft('set', 'tenant:7', '10', '0.001', '--without-redis', 'closed');
  assert.deepEqual([set.code, set.stdout], [0, 'tenant:7\t10\t10\t0.001\texact\tclosed\t0'], set.stderr);
  assert.match((await weft('take', 'tenant:7', '--tokens', '4')).stdout, /^allowed\t6 left\t/);
  const no = await weft('take', 'tenant:7', '--tokens', '7');
  assert.equal(no.code, 1);
  assert.match(no.stdout, /^refused\t6 left\tagain in \d+ ms\tby redis$/m);
  await weft('set', 'other', '5', '2', '--leased', '--dry-run');
  assert.equal((await weft()).stdout, 'other\t5\t5\t2\tleased,dry-run\topen\t0\ntenant:7\t6\t10\t0.001\texact\tclosed\t0');
  assert.equal(JSON.parse((await weft('--json')).stdout.split('\n')[0]).refill_per_s, 2);
  assert.equal((await weft('delete', 'other')).code, 0);
  for (const [args, code] of [[['delete', 'other'], 1], [['take', 'none'], 1], [['set', 'x', '0', '1'], 1], [['set', 'x', 'many', '1'], 2], [['set', 'x'], 2], [['nope'], 2]]) {
    const done = await weft(...args);
    assert.equal(done.code, code, args.join(' '));
    assert.notEqual(done.stderr, '');
  }
  assert.match((await weft('--help')).stdout, /^usage: weft limits/);
}, { needs: ['weftd', 'weft'] });

const good = { capacity: 10, refill_per_s: 1 };
const bad = [
  ['PUT', 'x', '{nope}', 'body'],
  ['PUT', 'x', '[1]', 'body'],
  ['PUT', 'x', { refill_per_s: 1 }, 'capacity'],
  ['PUT', 'x', { capacity: 10 }, 'refill_per_s'],
  ['PUT', 'x', { ...good, capacity: 0 }, 'capacity'],
  ['PUT', 'x', { ...good, capacity: -1 }, 'capacity'],
  ['PUT', 'x', { ...good, capacity: 1.5 }, 'capacity'],
  ['PUT', 'x', { ...good, capacity: '10' }, 'capacity'],
  ['PUT', 'x', '{"capacity":1e400,"refill_per_s":1}', 'capacity'],
  ['PUT', 'x', { ...good, capacity: 1e9 + 1 }, 'capacity'],
  ['PUT', 'x', { ...good, refill_per_s: -1 }, 'refill_per_s'],
  ['PUT', 'x', { ...good, refill_per_s: 0 }, 'refill_per_s'],
  ['PUT', 'x', { ...good, refill_per_s: 0.0001 }, 'refill_per_s'],
  ['PUT', 'x', { ...good, refill_per_s: 1.00001 }, 'refill_per_s'],
  ['PUT', 'x', '{"capacity":10,"refill_per_s":NaN}', 'body'],
  ['PUT', 'x', '{"capacity":10,"refill_per_s":1e999}', 'refill_per_s'],
  ['PUT', 'x', { ...good, mode: 'loose' }, 'mode'],
  ['PUT', 'x', { ...good, dry_run: 'yes' }, 'dry_run'],
  ['PUT', 'x', { ...good, without_redis: 'maybe' }, 'without_redis'],
  ['PUT', 'x', { ...good, colour: 'red' }, 'colour'],
  ['PUT', 'a%20b', good, 'bucket'],
  ['PUT', 'weft.address:127.0.0.1', good, 'bucket'],
  ['PUT', 'x'.repeat(201), good, 'bucket'],
  ['POST', 'x/take', { tokens: 0 }, 'tokens'],
  ['POST', 'x/take', { tokens: 1.5 }, 'tokens'],
  ['POST', 'x/take', { tokens: 11 }, 'tokens'],
  ['POST', 'x/take', { tokens: 1e300 }, 'tokens'],
  ['POST', 'x/take', { token: 1 }, 'token'],
  ['POST', 'weft.address:127.0.0.1/take', {}, 'bucket'],
  ['GET', 'x/check?tokens=0', undefined, 'tokens'],
  ['GET', 'x/check?refused=200', undefined, 'refused'],
  ['GET', 'x/check?other=1', undefined, 'other'],
  ['POST', 'take', {}, 'take'],
  ['POST', 'take', { take: [] }, 'take'],
  ['POST', 'take', { take: {} }, 'take'],
  ['POST', 'take', { take: [7] }, 'take[0].body'],
  ['POST', 'take', { take: [{ bucket: 'x' }, { tokens: 1 }] }, 'take[1].bucket'],
  ['POST', 'take', { take: [{ bucket: 'x' }, { bucket: 'x' }] }, 'take[1].bucket'],
  ['POST', 'take', { take: [{ bucket: 'x', tokens: -1 }] }, 'take[0].tokens'],
  ['POST', 'take', { take: [{ bucket: 'a b' }] }, 'take[0].bucket'],
  ['POST', 'take', { take: Array.from({ length: 17 }, (_, i) => ({ bucket: `x${i}` })) }, 'take'],
];

story('bad input: which field, and nothing is changed', async (w) => {
  const [node] = await w.cluster(1);
  const a = api(w, node);
  const client = w.client(node);
  await a.put('x', good);
  await a.take('x');
  const before = [await hash(w, 'x'), await w.store.cmd('DBSIZE')];
  for (const [method, path, body, where] of bad) {
    const text = body === undefined || typeof body === 'string' ? body : JSON.stringify(body);
    const answer = await client.send(method, `/api/limits/${path}`, { body: text });
    const row = `${method} ${path} ${text}: ${answer.status} ${answer.text}`;
    assert.equal(answer.status, 400, row);
    assert.equal(answer.json.error.field, where, row);
  }
  // Something else in the place of a bucket.
  await w.store.cmd('SET', 'weft:bucket:{text}', 'hello');
  assert.equal((await a.take('text')).status, 409);
  assert.equal((await a.send('GET', '/api/limits/text')).status, 409);
  await w.store.cmd('DEL', 'weft:bucket:{text}');
  assert.deepEqual([await hash(w, 'x'), await w.store.cmd('DBSIZE')], before);
});

story('the API has limits of its own: per address, over the cluster', async (w) => {
  const limits = { api_per_s: 1, api_burst: 20, api_proxies: 1 };
  const nodes = await w.cluster(2, { node: { set: { limits } } });
  const clients = nodes.map((node) => w.client(node));
  const begin = await redisMs(w);
  const answers = [];
  for (let i = 0; i < 40; i++) answers.push(await clients[i % 2].get('/api/topics'));
  const passed = answers.filter((answer) => answer.status === 200).length;
  const could = 20 + ((await redisMs(w)) - begin) / 1000;
  assert.ok(passed >= 20 && passed <= could, `${passed} of ${could}`);
  for (const answer of answers.filter(({ status }) => status !== 200)) {
    assert.equal(answer.status, 429, answer.text);
    assert.equal(answer.json.error.code, 'limited');
    assert.match(answer.headers['retry-after'], /^\d+$/);
    assert.match(answer.headers.ratelimit, /^"weft.address:127.0.0.1";r=0;t=\d+$/);
  }
  // Its health can be asked for; another address has a bucket of its own.
  assert.equal((await clients[0].get('/healthz')).status, 200);
  assert.equal((await clients[0].get('/metrics')).status, 200);
  assert.equal((await clients[0].get('/api/topics', { 'x-forwarded-for': '9.9.9.9, 10.0.0.7' })).status, 200);
  assert.equal(await w.store.cmd('EXISTS', 'weft:bucket:{weft.address:10.0.0.7}'), 1);
  assert.ok((await w.store.cmd('PTTL', 'weft:bucket:{weft.address:10.0.0.7}')) > 0);
  // A stream that is turned away must not make an EventSource give up.
  const stream = w.stream(nodes[0], 'topic=t');
  await deadline(stream.closed, { what: 'the end of the stream' });
  const [moved] = stream.control('weft.moved');
  assert.equal(moved.data.reason, 'limited');
  assert.ok(moved.data.retry_ms >= 1000);
  assert.ok((await nodes[0].metric('weft_api_limited_total')) > 0);
});

story('the limits of the API as a dry run, and with tokens at hand', async (w) => {
  const [dry] = await w.cluster(1, { node: { set: { limits: { api_per_s: 1, api_burst: 5, api_dry_run: true } } } });
  const client = w.client(dry);
  for (let i = 0; i < 15; i++) assert.equal((await client.get('/api/topics')).status, 200);
  const would = await dry.metric('weft_api_would_limit_total');
  assert.ok(would >= 5 && would <= 10, `${would}`);
  assert.equal(await dry.metric('weft_api_limited_total'), 0);
  const ahead = await w.node({ set: { limits: { api_per_s: 1000, api_burst: 1000 } }, env: { WEFT_PREFIX: 'other' } });
  const second = w.client(ahead);
  for (let i = 0; i < 100; i++) assert.equal((await second.get('/api/topics')).status, 200);
  assert.ok((await ahead.metric('weft_bucket_leased_takes_total')) > 50);
});
