// Circuit breakers of a cluster. 3 nodes, 60 callers: failures on any node open it for all, half-open gives exactly as many
// permits as configured, whatever node is asked, and what a killed node had taken comes back; good calls close it everywhere.
// Operators force it; without Redis each breaker does as it was told; what is wrong is named and changes nothing.
import assert from 'node:assert/strict';
import { story } from './lib/story.mjs';
import { bin, cleanEnv } from './lib/node.mjs';
import { run } from './lib/process.mjs';
import { QUICK, sleep, until } from './lib/wait.mjs';

const CALLERS = 60;
const REPETITIONS = QUICK ? 10 : 100;

// A breaker as one node serves it.
class Breaker {
  constructor(api, name) {
    Object.assign(this, { api, name });
  }

  async send(method, what, body, status = 200) {
    const answer = await this.api.send(method, `/api/breakers/${this.name}${what}`, body && { body: JSON.stringify(body) });
    assert.equal(answer.status, status, answer.text);
    return answer.json;
  }

  put(config, status = 201) {
    return this.send('PUT', '', config, status);
  }

  read() {
    return this.send('GET', '');
  }

  acquire() {
    return this.send('POST', '/acquire');
  }

  report(outcome, permit) {
    return this.send('POST', '/report', permit ? { outcome, permit } : { outcome });
  }

  force(state) {
    return this.send('POST', '/force', { state });
  }

  fail(n) {
    return Promise.all(Array.from({ length: n }, () => this.report('failure')));
  }

  // By asking whether a call may be made, which costs nothing while it is not.
  says(test, what) {
    return until(async () => {
      const answer = await this.acquire();
      return test(answer) && answer;
    }, { what, every: 2 });
  }
}

// However slow the machine is: what is tested is decided by Redis.
const PATIENT = { patience_ms: 60_000 };

async function cluster(w, n, name, config, breaker, redis = {}) {
  const nodes = await w.cluster(n, { node: { set: { breaker: { ...PATIENT, ...breaker }, redis } } });
  const all = nodes.map((node) => new Breaker(w.client(node), name));
  await all[0].put(config);
  for (const breaker of all) await breaker.says((a) => a.allowed && a.state === 'closed', `${name} on all nodes`);
  return { nodes, all };
}

// Callers spread over the nodes, each asking until it has a permit or hears that others have all of them.
function probe(all) {
  return Promise.all(Array.from({ length: CALLERS }, async (_, i) => {
    for (;;) {
      const answer = await all[i % all.length].acquire();
      if (answer.state === 'half_open') return answer;
      assert.equal(answer.allowed, false);
      await sleep(answer.retry_after_ms);
    }
  }));
}

const passed = (answers) => answers.filter((answer) => answer.allowed);

story(`${CALLERS} callers on 3 nodes: failures on one of them open it for all of them`, async (w) => {
  const { all } = await cluster(w, 3, 'payments', { failure_threshold: 5, timeout_ms: 60_000 });
  const calls = [];
  const callers = Array.from({ length: CALLERS }, async (_, i) => {
    for (;;) {
      const began = Date.now();
      const answer = await all[i % 3].acquire();
      if (!answer.allowed) return;
      calls.push({ began, answered: Date.now() });
    }
  });
  await until(() => calls.length > 20 * CALLERS, { what: 'many calls' });
  for (let i = 0; i < 5; i++) await all[0].report('failure');
  const { since_ms: since, state, opened } = await all[1].read();
  assert.deepEqual([state, opened], ['open', 1]);
  await Promise.all(callers);
  const late = (when) => Math.max(0, ...calls.map((call) => call[when] - since));
  w.note(`${calls.length} calls were let through; after it was open the last one was asked for ${late('began')} ms and answered ${late('answered')} ms later`);
  for (const breaker of all) {
    const answer = await breaker.acquire();
    assert.equal(answer.allowed, false);
    assert.ok(answer.retry_after_ms > 30_000, 'when to come back');
  }
});

story(`half-open: exactly the permits, ${REPETITIONS} times; then good calls close it on all nodes`, async (w) => {
  const permits = 4;
  const { all } = await cluster(w, 3, 'search', { failure_threshold: 1, timeout_ms: 20, half_open_permits: permits, success_threshold: permits });
  await all[0].report('failure');
  for (let i = 0; i < REPETITIONS; i++) {
    const given = passed(await probe(all));
    assert.equal(given.length, permits, `repetition ${i}`);
    assert.equal(new Set(given.map((a) => a.permit)).size, permits);
    const last = i === REPETITIONS - 1;
    const outcomes = given.map((a, k) => all[(i + k) % 3].report(last || k > 0 ? 'success' : 'failure', a.permit));
    const reports = await Promise.all(outcomes);
    assert.equal(reports.at(0).counted, true);
  }
  for (const breaker of all) await breaker.says((a) => a.state === 'closed' && a.allowed && a.permit === null, 'closed on all nodes');
  assert.equal((await all[2].read()).opened, REPETITIONS);
}, { timeout: 120_000 });

story('kill -9 of the node that holds the permit: it comes back', async (w) => {
  const { nodes, all } = await cluster(w, 3, 'search', { failure_threshold: 1, timeout_ms: 10, permit_ms: 1500, success_threshold: 1 });
  await all[0].report('failure');
  const first = await all[0].says((a) => a.allowed, 'a permit');
  assert.equal((await all[1].acquire()).allowed, false);
  await nodes[0].kill();
  const second = await all[1].says((a) => a.allowed, 'the permit to come back');
  assert.notEqual(second.permit, first.permit);
  assert.equal((await all[2].report('success', first.permit)).counted, false, 'it has lapsed');
  assert.equal((await all[2].report('success', second.permit)).counted, true);
  for (const breaker of all.slice(1)) await breaker.says((a) => a.state === 'closed', 'closed');
});

story('rate mode, a quorum of nodes, results in batches', async (w) => {
  const { nodes, all: [a, b] } = await cluster(w, 2, 'rate', { mode: 'rate', failure_rate: 50, min_calls: 10, quorum: 2, timeout_ms: 60_000 });
  await Promise.all(Array.from({ length: 6 }, () => a.report('success')));
  // Good results are counted by the worker and sent on.
  await until(async () => (await b.read()).window.successes === 6, { what: 'the good results to arrive' });
  await a.fail(5);
  assert.equal((await a.read()).state, 'closed', '5 of 11');
  await a.fail(5);
  const read = await b.read();
  assert.deepEqual(read.window, { successes: 6, failures: 10, nodes_with_failures: 1 });
  assert.equal(read.state, 'closed', 'one node alone says so');
  assert.equal((await b.report('failure')).state, 'open');
  await a.says((answer) => !answer.allowed, 'open on the other node');
  await nodes[0].metricReaches('weft_breaker_changes_total', 1);
  assert.equal((await a.report('success')).counted, false, 'a result from before it opened');
});

story('forced by an operator, for all nodes; found again after a restart of all of them', async (w) => {
  const { nodes, all: [a, b] } = await cluster(w, 2, 'forced', { failure_threshold: 1, timeout_ms: 60_000 });
  await a.force('open');
  await b.says((x) => !x.allowed && x.state === 'forced_open', 'forced open');
  await b.force('closed');
  await a.says((x) => x.allowed && x.state === 'forced_closed', 'forced closed');
  await a.fail(3);
  assert.deepEqual([(await b.read()).state, (await b.read()).window.failures], ['forced_closed', 3]);
  await a.force('disabled');
  await b.says((x) => x.allowed && x.state === 'disabled', 'disabled');
  assert.equal((await b.report('failure')).counted, false);
  await Promise.all(nodes.map((node) => node.stop()));
  const c = new Breaker(w.client(await w.node({ id: 'c', set: { breaker: PATIENT } })), 'forced');
  assert.equal((await c.read()).state, 'disabled');
  await c.force('auto');
  assert.equal((await c.report('failure')).state, 'open');
  await c.send('DELETE', '', undefined, 204);
  await c.send('POST', '/acquire', undefined, 404);
  await c.send('DELETE', '', undefined, 404);
  assert.deepEqual(await w.store.cmd('KEYS', 'weft:breaker*'), []);
});

story('without Redis each does as configured, on every node; with it Redis is right again', async (w) => {
  const [node, other] = await w.cluster(2, { node: { set: { breaker: PATIENT } } });
  const api = w.client(node);
  const [open, closed, local, forced] = ['open', 'closed', 'local', 'forced'].map((name) => new Breaker(api, name));
  // The other node has only heard of them.
  const elsewhere = ['open', 'closed', 'local'].map((name) => new Breaker(w.client(other), name));
  for (const breaker of [open, closed, local]) await breaker.put({ failure_threshold: 2, timeout_ms: 60_000, without_redis: breaker.name });
  await forced.put({ without_redis: 'open' });
  await forced.force('open');
  await open.fail(2);
  assert.equal((await open.acquire()).allowed, false);
  await w.store.kill();
  await open.says((a) => a.allowed, 'fails open');
  await closed.says((a) => !a.allowed, 'fails closed');
  assert.equal((await forced.acquire()).allowed, false, 'what an operator said holds on');
  assert.equal((await local.acquire()).allowed, true);
  assert.deepEqual(await local.report('failure'), { counted: true, state: 'closed' });
  assert.deepEqual(await local.report('failure'), { counted: true, state: 'open' });
  assert.equal((await local.acquire()).allowed, false, 'decided alone');
  await elsewhere[0].says((a) => a.allowed, 'fails open there too');
  await elsewhere[1].says((a) => !a.allowed, 'fails closed there too');
  assert.equal((await elsewhere[2].acquire()).allowed, true, 'alone means alone');
  for (const what of ['', '/force']) {
    const answer = await api.send(what ? 'POST' : 'GET', `/api/breakers/local${what}`, what ? { body: '{"state":"open"}' } : {});
    assert.equal(answer.status, 503);
    assert.equal(answer.headers['retry-after'], '1');
  }
  assert.equal((await api.send('POST', '/api/breakers/nobody/acquire')).status, 503, 'nobody knows what it does');
  const { json: list } = await api.get('/api/breakers');
  assert.deepEqual(list.breakers.map((b) => b.name), ['closed', 'forced', 'local', 'open']);
  assert.equal(list.redis, false);

  await w.store.restart();
  await local.says((a) => a.allowed && a.state === 'closed', 'Redis is right: it knows of no failure');
  assert.equal(await until(async () => (await api.get('/api/breakers')).json.redis, { what: 'Redis' }), true);
});

story('Redis answers with errors, twice: what a node decided alone the first time is forgotten', async (w) => {
  const { all: [b] } = await cluster(w, 1, 'moody', { failure_threshold: 3, timeout_ms: 100, half_open_permits: 1, success_threshold: 1 });
  const refuses = (yes) => w.store.cmd('CONFIG', 'SET', 'min-replicas-to-write', yes ? '1' : '0');
  await refuses(true);
  await b.report('failure'); // counted by the node alone
  await refuses(false);
  for (let i = 0; i < 3; i++) await b.report('failure');
  assert.equal((await b.read()).state, 'open');
  await refuses(true);
  // Alone again: it was open, not closed as when it was alone before; and it is not open for ever.
  const half = await b.says((a) => a.state !== 'open' && a, 'its time to be over');
  assert.deepEqual([half.state, half.allowed], ['half_open', true]);
  await b.report('failure', half.permit);
  await refuses(false);
  // Redis knows nothing of that permit: the next one is its own.
  const again = await b.says((a) => a.state === 'half_open' && a, 'Redis to decide');
  assert.ok(again.allowed);
  assert.equal((await b.report('success', again.permit)).state, 'closed');
  await refuses(true);
  await b.report('failure');
  assert.equal((await b.acquire()).state, 'closed');
});

story('a Redis that is silent: the first caller waits as long as patience, the others not at all', async (w) => {
  const { all: [a] } = await cluster(w, 1, 'patience', { failure_threshold: 1, timeout_ms: 10, without_redis: 'open' }, { patience_ms: 50 }, { command_timeout_ms: 600_000 });
  await a.report('failure');
  await a.says((x) => x.state === 'half_open' && !x.allowed, 'all permits are out');
  process.kill(w.store.pid, 'SIGSTOP');
  try {
    for (let i = 0; i < 3; i++) {
      const began = performance.now();
      await a.says((x) => x.allowed, 'it fails open'); // what Redis said a moment ago may still be believed
      w.note(`answered after ${(performance.now() - began).toFixed(1)} ms`);
    }
  } finally {
    process.kill(w.store.pid, 'SIGCONT');
  }
  const asked = (what) => until(async () => (await a.api.get('/api/breakers')).json.redis, { what });
  await asked('Redis to decide again');
  await a.says((x) => x.state === 'half_open', 'what Redis says');

  // Results wait no longer, those behind the first one included (the command has ten minutes).
  await a.force('closed');
  process.kill(w.store.pid, 'SIGSTOP');
  try {
    await Promise.all(Array.from({ length: 20 }, () => a.report('failure')));
  } finally {
    process.kill(w.store.pid, 'SIGCONT');
  }
  await asked('Redis to be asked again');
});

story('the functions are flushed, and all data: the next call finds what there is', async (w) => {
  const { all: [a] } = await cluster(w, 1, 'flushed', { failure_threshold: 1, timeout_ms: 60_000 }, { refresh_ms: 100 });
  await w.store.cmd('FUNCTION', 'FLUSH');
  assert.equal((await a.report('failure')).state, 'open');
  await w.store.cmd('FLUSHALL');
  await until(async () => (await a.api.send('POST', '/api/breakers/flushed/acquire')).status === 404, { what: 'it to be gone' });
});

story('bad input is named and changes nothing', async (w) => {
  const [node] = await w.cluster();
  const api = w.client(node);
  await new Breaker(api, 'b').put({ failure_threshold: 3 });
  const all = async () => [await w.store.fingerprint(), await w.store.cmd('HGETALL', 'weft:breaker:{b}'), await w.store.cmd('SMEMBERS', 'weft:breakers')];
  const before = await all();
  const send = async (method, path, body, status, field) => {
    const answer = await api.send(method, `/api/breakers${path}`, body === undefined ? {} : { body });
    assert.equal(answer.status, status, `${path} ${body}: ${answer.text}`);
    assert.match(answer.headers['content-type'], /problem/);
    assert.equal(answer.json.error.field, field, `${path} ${body}`);
  };
  for (const [body, field] of [
    ['{"mode":"often"}', 'mode'], ['{"mode":1}', 'mode'], ['{"failure_threshold":0}', 'failure_threshold'], ['{"failure_threshold":-1}', 'failure_threshold'],
    ['{"failure_threshold":1.5}', 'failure_threshold'], ['{"failure_threshold":"5"}', 'failure_threshold'], ['{"failure_threshold":1e400}', 'failure_threshold'],
    ['{"failure_threshold":99999999999999999999}', 'failure_threshold'], ['{"failure_threshold":null}', 'failure_threshold'], ['{"failure_rate":101}', 'failure_rate'],
    ['{"min_calls":0}', 'min_calls'], ['{"success_threshold":0}', 'success_threshold'], ['{"timeout_ms":0}', 'timeout_ms'], ['{"time_window_ms":999}', 'time_window_ms'],
    ['{"half_open_permits":1001}', 'half_open_permits'], ['{"permit_ms":1}', 'permit_ms'], ['{"quorum":0}', 'quorum'], ['{"without_redis":"maybe"}', 'without_redis'],
    ['{"failures":5}', 'failures'], ['{"quorum":NaN}', 'body'], ['{"quorum":1', 'body'], ['[]', 'body'], ['"x"', 'body'], ['{"quorum":1,"quorum":2}', 'body'],
  ]) await send('PUT', '/b', body, 400, field);
  for (const [body, field] of [['{}', 'outcome'], ['{"outcome":"fine"}', 'outcome'], ['{"outcome":"success","permit":"x"}', 'permit'], ['{"outcome":"success","permit":""}', 'permit'],
    ['{"outcome":"success","permit":7}', 'permit'], ['{"outcome":"success","latency_ms":-1}', 'latency_ms'], ['{"outcome":"success","latency_ms":1e999}', 'latency_ms']]) {
    await send('POST', '/b/report', body, 400, field);
  }
  for (const [body, field] of [['', 'state'], ['{"state":"half_open"}', 'state']]) await send('POST', '/b/force', body, 400, field);
  await send('POST', '/b/acquire', '{"tokens":1}', 400, 'tokens');
  await send('PUT', '/a%20b', '{}', 400, 'name');
  await send('PUT', `/${'x'.repeat(201)}`, '{}', 400, 'name');
  await send('PUT', '/b?x=1', '{}', 400, 'x');
  for (const path of ['/none/acquire', '/none/report', '/none/force']) {
    await send('POST', path, path.endsWith('report') ? '{"outcome":"failure"}' : path.endsWith('force') ? '{"state":"open"}' : undefined, 404, 'name');
  }
  assert.deepEqual(await all(), before);
});

story('as many as there may be', async (w) => {
  const [node] = await w.cluster(1, { node: { set: { breaker: { max: 2 } } } });
  const api = w.client(node);
  for (const name of ['a', 'b']) await new Breaker(api, name).put({});
  const answer = await api.send('PUT', '/api/breakers/c', { body: '{}' });
  assert.deepEqual([answer.status, answer.json.error.field], [409, 'name']);
  await new Breaker(api, 'a').put({ quorum: 2 }, 200);
  assert.deepEqual(await w.store.cmd('KEYS', 'weft:breaker:*c*'), []);
});

story('weft breakers: list, set, force, remove', async (w) => {
  const [node] = await w.cluster();
  const weft = (...args) => run(bin('weft'), ['breakers', ...args], { env: cleanEnv({ WEFT_URL: node.origin }) });
  const good = async (...args) => {
    const done = await weft(...args);
    assert.equal(done.code, 0, done.stderr);
    return done.stdout;
  };
  assert.equal(await good(), '');
  assert.match(await good('set', 'payments', 'mode=rate', 'failure_rate=30'), /^failure_rate\t30$/m);
  await good('set', 'search');
  assert.match(await good(), /^payments\tclosed\t\d+\t0\nsearch\tclosed\t\d+\t0$/);
  assert.match(await good('payments'), /^window\.failures\t0$/m);
  assert.equal(JSON.parse(await good('force', 'payments', 'open', '--json')).state, 'forced_open');
  assert.match(await good('payments'), /^state\tforced_open$/m);
  await good('remove', 'search');
  assert.deepEqual((await good('--json')).split('\n').map((line) => JSON.parse(line).name), ['payments']);
  for (const [args, code, why] of [
    [['nobody'], 1, /no such breaker/], [['set', 'x', 'quorum=0'], 1, /quorum/], [['set', 'x', 'quorum'], 2, /FIELD=VALUE/],
    [['force', 'payments', 'ajar'], 1, /state/], [['force', 'payments'], 2, /force NAME STATE/], [['remove'], 1, /no such breaker/],
  ]) {
    const done = await weft(...args);
    assert.equal(done.code, code, args.join(' '));
    assert.match(done.stderr, why);
  }
}, { needs: ['weftd', 'weft'] });
