// Services of a cluster. Urls are probed by one node at a time, and by another one when that is killed. Commands run below the
// node that was asked to start them: they are restarted when they die, later each time, until their breaker opens; they
// end with their node, however it ends, and everything that they had started, too. Each transition is an event, in
// order. What is wrong with a request is named, and changes nothing.
import assert from 'node:assert/strict';
import { createServer } from 'node:http';
import { existsSync, readFileSync, readdirSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { story } from './lib/story.mjs';
import { until } from './lib/wait.mjs';

const SET = { services: { programs: '*' }, control: { lease_ms: 1000 } };

class Service {
  constructor(api, id) {
    Object.assign(this, { api, id });
  }

  async send(method, what = '', body, status = 200) {
    const answer = await this.api.send(method, `/api/services/${this.id}${what}`, body && { body: JSON.stringify(body) });
    assert.equal(answer.status, status, answer.text);
    return answer.json;
  }

  put(definition, status = 201) {
    return this.send('PUT', '', definition, status);
  }

  get() {
    return this.send('GET');
  }

  metrics() {
    return this.send('GET', '/metrics');
  }

  order(what) {
    return this.send('POST', `/${what}`, undefined, 202);
  }

  is(state, more = () => true) {
    return until(async () => {
      const service = await this.get();
      return service.state === state && more(service) && service;
    }, { what: `${this.id} to be ${state}` });
  }
}

async function cluster(w, n = 1, set = {}) {
  const nodes = await w.cluster(n, { node: { set: { ...SET, ...set } } });
  const service = (id, at = 0) => new Service(w.client(nodes[at]), id);
  return { nodes, service };
}

function shell(script, more = {}) {
  return { kind: 'command', command: ['sh', '-c', script], start_ms: 50, backoff_min_ms: 20, backoff_max_ms: 100, stop_timeout_ms: 2000, ...more };
}

// A server that counts who asks it, and answers as it is told.
async function upstream(w) {
  const server = { status: 200, asked: 0 };
  const listener = createServer((request, response) => {
    server.asked++;
    if (server.status !== null) response.writeHead(server.status).end('x');
  });
  await new Promise((resolve) => listener.listen(0, '127.0.0.1', resolve));
  w.atEnd(() => new Promise((resolve) => {
    listener.close(resolve);
    listener.closeAllConnections();
  }));
  server.url = `http://127.0.0.1:${listener.address().port}/health`;
  return server;
}

function isGone(pid) {
  try {
    return / [ZX] /.test(readFileSync(`/proc/${pid}/stat`, 'utf8'));
  } catch {
    return true;
  }
}

// Programs that sleep for so long a time as nobody else's do.
function sleepers(seconds) {
  return readdirSync('/proc').filter((pid) => /^\d+$/.test(pid) && existsSync(`/proc/${pid}/cmdline`)).filter((pid) => {
    try {
      return readFileSync(`/proc/${pid}/cmdline`, 'utf8') === `sleep\0${seconds}\0` && !isGone(pid);
    } catch {
      return false;
    }
  });
}

const types = (stream) => stream.events.map((e) => e.type);
const changes = (stream) => stream.events.filter((e) => e.type === 'service.state_changed').map((e) => `${e.payload.from} ${e.payload.to} ${e.payload.reason}`);

function seen(stream, test, what) {
  return stream.until(() => stream.events.find(test), { what });
}

story('a url: registered, probed, unhealthy and healthy again; its events, metrics and health', async (w) => {
  const { nodes, service } = await cluster(w, 1);
  const server = await upstream(w);
  const stream = await w.follow(nodes[0], 'topic=service:web&topic=services');
  const web = service('web');
  const definition = { kind: 'url', url: server.url, interval_ms: 100, timeout_ms: 500, unhealthy_after: 2, healthy_after: 2, version: '1.2', labels: { team: 'core' } };
  const made = await web.put(definition);
  for (const [key, value] of Object.entries(definition)) assert.deepEqual(made[key], value);
  assert.deepEqual([made.state, made.revision], ['unknown', 1]);
  await web.is('healthy');
  server.status = 500;
  await web.is('unhealthy');
  server.status = 301;
  await web.is('healthy');
  server.status = null;
  await web.is('unhealthy');
  server.status = 200;
  await web.is('healthy', (s) => s.latency_ms > 0);
  await seen(stream, () => changes(stream).length === 5, 'five changes');
  assert.deepEqual(changes(stream), ['unknown healthy probe_ok', 'healthy unhealthy probe_failed', 'unhealthy healthy probe_ok', 'healthy unhealthy probe_failed', 'unhealthy healthy probe_ok']);
  const checks = stream.events.filter((e) => e.type === 'service.health_check');
  assert.ok(checks.length >= 5 && checks[0].payload.status === 'healthy' && checks[0].service_id === 'web');
  assert.ok(checks.some((e) => e.payload.message === 'status 500') && checks.some((e) => /timed out/i.test(e.payload.message)));
  const metrics = await until(async () => {
    const m = await web.metrics();
    return m.state_changes === 5 && m.failures >= 4 && m;
  }, { what: 'the counters' });
  assert.equal(metrics.requests, metrics.successes + metrics.failures);
  assert.ok(metrics.success_rate > 0 && metrics.success_rate < 1 && metrics.average_response_ms > 0);
  assert.match(metrics.recent_errors[0].message, /timed out/i);
  assert.equal(metrics.recent_errors[1].message, 'status 500');
  const api = w.client(nodes[0]);
  assert.deepEqual((await api.get('/api/services/health')).json, { services: [{ name: 'web', status: 'healthy', latency: (await web.get()).latency_ms }], overall_status: 'healthy' });
  // The same definition again, and another one: what it was is kept.
  const again = await web.put({ ...definition, interval_ms: 200 }, 200);
  assert.deepEqual([again.state, again.revision, again.interval_ms], ['healthy', 2, 200]);
  await web.send('DELETE', '', undefined, 204);
  await web.send('GET', '', undefined, 404);
  await web.send('DELETE', '', undefined, 404);
  const { asked } = await until(async () => {
    const before = server.asked;
    await new Promise((resolve) => setTimeout(resolve, 500));
    return before === server.asked && server;
  }, { what: 'the probes to end' });
  assert.ok(asked > 5);
  await until(async () => (await w.store.cmd('SMEMBERS', 'weft:services')).length === 0, { what: 'its name to go' });
});

story('a url that was deleted and is registered again is probed again', async (w) => {
  // With leases so long that nothing but the messages makes the node look.
  const { service } = await cluster(w, 1, { control: { lease_ms: 20000 } });
  const server = await upstream(w);
  const web = service('web');
  const definition = { kind: 'url', url: server.url, interval_ms: 100 };
  for (let i = 0; i < 3; i++) {
    await web.put(definition);
    await web.is('healthy');
    await web.send('DELETE', '', undefined, 204);
    await until(async () => await w.store.cmd('GET', 'weft:lease:{service:web}') === null, { what: 'its lease to be given back' });
  }
  // And as quickly as can be, with another definition, so that the node may see nothing between.
  for (let i = 0; i < 20; i++) {
    const other = await upstream(w);
    await web.put({ ...definition, url: other.url });
    await web.is('healthy');
    assert.ok(other.asked > 0);
    if (i < 19) await w.store.cmd('DEL', 'weft:service:{web}'); // as DELETE does, but tells nobody
  }
});

story('a url that is registered with other fields is probed by them at once, however far off the next probe was', async (w) => {
  const { service } = await cluster(w, 1);
  const [old, server] = [await upstream(w), await upstream(w)];
  const web = service('web');
  await web.put({ kind: 'url', url: old.url, interval_ms: 3600000 });
  await web.is('healthy');
  await web.put({ kind: 'url', url: server.url, interval_ms: 100 }, 200);
  await until(() => server.asked >= 3, { what: 'three probes' });
  assert.equal(old.asked, 1);
  assert.equal((await web.get()).state, 'healthy');
  // One that is under way and would be answered late, too.
  server.status = null;
  const { asked } = server;
  await web.put({ kind: 'url', url: server.url, interval_ms: 3600000, timeout_ms: 600000 }, 200);
  await until(() => server.asked > asked, { what: 'a probe that is not answered' });
  await web.put({ kind: 'url', url: old.url, interval_ms: 100 }, 200);
  await until(() => old.asked >= 3, { what: 'probes of the url of before' });
});

story('urls are probed by one node at a time; those of a killed node are taken over', async (w) => {
  const { nodes, service } = await cluster(w, 3);
  const servers = {};
  for (let i = 0; i < 12; i++) {
    servers[i] = await upstream(w);
    await service(`web-${i}`, i % 3).put({ kind: 'url', url: servers[i].url, interval_ms: 100 });
  }
  const list = async () => (await w.client(nodes[0]).get('/api/services')).json.services;
  // Each node is the favourite of some, by the names alone; all have arrived when the leases say what the hashes do.
  const spread = await until(async () => {
    const all = await list();
    const leases = await Promise.all(all.map((s) => w.store.cmd('GET', `weft:lease:{service:${s.id}}`)));
    return all.every((s, i) => s.state === 'healthy' && leases[i]?.startsWith(`${s.node} `)) && new Set(all.map((s) => s.node)).size === 3 && all;
  }, { what: 'all to be healthy, on three nodes' });
  const of = Object.fromEntries(nodes.map(({ id }) => [id, spread.filter((s) => s.node === id)]));
  nodes[2].mayDie = true;
  await nodes[2].kill();
  const after = await until(async () => {
    const all = await list();
    return all.every((s) => s.node !== 'c') && all;
  }, { what: 'c to have none' });
  for (const s of after) {
    const before = servers[s.id.slice(4)].asked;
    await until(() => servers[s.id.slice(4)].asked > before, { what: `${s.id} to be probed` });
    assert.ok(s.node === spread.find((x) => x.id === s.id).node || of.c.some((x) => x.id === s.id), 'only those of c have moved');
  }
  await until(async () => (await w.client(nodes[0]).get('/api/nodes')).json.nodes.length === 2, { what: 'c to be off the list' });
  const { json } = await w.client(nodes[0]).get('/api/nodes');
  assert.deepEqual(json.nodes.map((n) => n.id), ['a', 'b']);
  for (const node of json.nodes) {
    assert.equal(node.address, new URL(nodes.find((n) => n.id === node.id).origin).host);
    assert.ok(node.load.resident_bytes > 0 && node.started_ms > 1e12 && node.version !== null);
  }
});

story('a command that dies is restarted, later each time, until its breaker opens', async (w) => {
  const { nodes, service } = await cluster(w, 1);
  const stream = await w.follow(nodes[0], 'topic=service:job');
  const job = service('job');
  await job.put(shell('echo here; echo there >&2; exit 3'));
  await job.is('stopped');
  await job.order('start');
  const failed = await job.is('failed');
  assert.deepEqual([failed.reason, failed.want, failed.pid], ['breaker_open', 'stopped', 0]);
  await seen(stream, (e) => e.type === 'service.error' && e.payload.code === 'breaker_open', 'that its breaker is open');
  const starts = 5; // failure_threshold of a breaker that nobody has configured
  const lines = await stream.until(() => {
    const all = stream.events.filter((e) => e.type === 'log.append');
    return all.length === 2 * starts && all;
  }, { what: 'its lines' });
  assert.deepEqual(lines.slice(0, 2).map((e) => e.payload.message).sort(), ['here', 'there']);
  assert.equal(lines.find((e) => e.payload.message === 'there').payload.stream, 'stderr');
  assert.deepEqual(changes(stream), [
    'stopped starting asked',
    ...Array.from({ length: starts }, () => ['starting backoff exited', 'backoff starting exited']).flat(),
    'starting failed breaker_open',
  ]);
  const stopped = stream.events.filter((e) => e.type === 'service.stopped');
  assert.deepEqual(stopped.map((e) => e.payload.code), Array(starts).fill(3));
  const breaker = (await w.client(nodes[0]).get('/api/breakers/service:job')).json;
  assert.equal(breaker.state, 'open');
  const metrics = await job.metrics();
  assert.deepEqual([metrics.starts, metrics.errors], [starts, starts + 1]);
  assert.match(metrics.recent_errors[1].message, /exited with code 3/);
  // Another order is refused by it as well; when an operator closes it, the command runs again.
  await job.order('start');
  await until(async () => (await job.metrics()).errors === starts + 2, { what: 'the refusal' });
  await w.client(nodes[0]).send('PUT', '/api/services/job', { body: JSON.stringify(shell('exec sleep 1000')) });
  for (const state of ['closed', 'auto']) await w.client(nodes[0]).send('POST', '/api/breakers/service:job/force', { body: JSON.stringify({ state }) });
  await job.order('start');
  const { pid } = await job.is('running');
  assert.ok(pid > 1 && !isGone(pid));
  process.kill(pid, 'SIGKILL');
  const next = await job.is('running', (s) => s.pid !== pid && s.pid > 0);
  await seen(stream, (e) => e.type === 'service.restarted', 'service.restarted');
  assert.ok(types(stream).includes('service.started'));
  assert.equal(stream.events.findLast((e) => e.type === 'service.stopped').payload.code, 137);
  await job.order('restart');
  const last = await job.is('running', (s) => s.pid !== next.pid && s.pid > 0);
  assert.ok(isGone(next.pid));
  await job.order('stop');
  await job.is('stopped', (s) => s.reason === 'asked');
  assert.ok(isGone(last.pid));
});

story('an event that cannot be published keeps no other away', async (w) => {
  const { nodes, service } = await cluster(w, 1, { publish: { max_event_bytes: 512 } });
  const stream = await w.follow(nodes[0], 'topic=service:good&topic=service:long');
  const lines = (id) => stream.events.filter((e) => e.type === 'log.append' && e.service_id === id && e.payload.stream === 'stdout');
  // Its log is none: whatever is published there is refused.
  await w.store.cmd('SET', 'weft:{0}:log:service:bad', 'x');
  const many = 'i=0; while [ $i -lt 60 ]; do i=$((i+1)); echo $i; done; exec sleep 1000';
  const long = `for i in 1 2 3; do printf '%03000d\\n' 7; printf '\\001%.0s' $(seq 1000); echo; echo short; done; exec sleep 1000`;
  for (const [id, script] of [['bad', many], ['good', many], ['long', long]]) await service(id).put(shell(script, { autostart: true }));
  await until(() => lines('good').length === 60 && lines('long').length === 9, { what: 'all lines' });
  assert.deepEqual(lines('good').map((e) => e.payload.message), Array.from({ length: 60 }, (_, i) => String(i + 1)));
  for (const [i, e] of lines('long').entries()) {
    const { message, cut } = e.payload;
    if (i % 3 === 2) assert.deepEqual([message, cut], ['short', undefined]);
    else assert.ok(cut && message.length >= 20 && new Set(message).size === 1, JSON.stringify(e));
  }
  await until(async () => (await nodes[0].metrics()).weft_service_events_dropped_total >= 60, { what: 'what was refused to be counted' });
  assert.equal(await w.store.cmd('GET', 'weft:{0}:log:service:bad'), 'x');
});

story('that a command has started is told when there is a process, however soon it counts as started', async (w) => {
  const { nodes, service } = await cluster(w, 1);
  const stream = await w.follow(nodes[0], 'topic=service:soon');
  const soon = service('soon');
  await soon.put(shell('exec sleep 1000', { start_ms: 0, autostart: true }));
  const { payload } = await seen(stream, (e) => e.type === 'service.started', 'service.started');
  assert.equal(payload.pid, (await soon.is('running')).pid);
  assert.ok(payload.pid > 0 && !isGone(payload.pid));
});

story('a start that is cut short gives back the permit of its breaker', async (w) => {
  const { nodes, service } = await cluster(w, 1);
  const api = w.client(nodes[0]);
  const breaker = async () => (await api.get('/api/breakers/service:job')).json;
  const config = { failure_threshold: 1, success_threshold: 1, timeout_ms: 100, half_open_permits: 1, permit_ms: 600000 };
  await api.send('PUT', '/api/breakers/service:job', { body: JSON.stringify(config) });
  const job = service('job');
  await job.put(shell('exit 3', { restart: 'never', autostart: true }));
  await job.is('failed');
  await until(async () => (await breaker()).state !== 'closed', { what: 'its breaker to open' });
  await job.put(shell('exec sleep 1000', { start_ms: 60000 }), 200);
  await until(async () => {
    await job.order('start');
    return (await breaker()).permits_out === 1;
  }, { what: 'the one permit to be out' });
  await job.is('starting', (s) => s.pid > 0);
  await job.order('stop');
  await job.is('stopped');
  await until(async () => (await breaker()).permits_out === 0, { what: 'it to be given back' });
  // It has shown nothing: one good start would have closed it.
  assert.deepEqual([(await breaker()).state, (await breaker()).permits_good], ['half_open', 0]);
  await job.put(shell('exec sleep 1000'), 200);
  await job.order('start');
  await job.is('running');
  await until(async () => (await breaker()).state === 'closed', { what: 'its breaker to close' });
});

story('a command that does not listen to TERM is killed; one that has done its work is not started again', async (w) => {
  const { nodes, service } = await cluster(w, 1);
  const deaf = service('deaf');
  await deaf.put(shell("trap '' TERM; while :; do sleep 0.05; done", { stop_timeout_ms: 200, autostart: true }));
  const { pid } = await deaf.is('running');
  await deaf.order('stop');
  await deaf.is('stopped');
  assert.ok(isGone(pid));
  const once = service('once');
  await once.put(shell('echo done', { restart: 'on_failure', autostart: true }));
  const ended = await once.is('stopped', (s) => s.reason === 'exited');
  assert.equal(ended.want, 'stopped');
  assert.equal((await once.metrics()).starts, 1);
  // Lines: not all of a flood become events, and what was left out is told.
  const stream = await w.follow(nodes[0], 'topic=service:flood');
  const flood = service('flood');
  await flood.put(shell('i=0; while [ $i -lt 3000 ]; do echo $i; i=$((i+1)); done; head -c 9000 /dev/zero | tr "\\0" x; printf "\\n\\377\\033[1m\\n"', { restart: 'never', autostart: true }));
  await flood.is('stopped', (s) => s.reason === 'exited');
  const dropped = await nodes[0].metric('weft_service_lines_dropped_total');
  assert.ok(dropped > 1000);
  await seen(stream, (e) => e.payload.stream === 'weft', 'how many were left out');
  const lines = stream.events.filter((e) => e.payload.stream === 'stdout').length;
  assert.equal(lines + dropped, await nodes[0].metric('weft_service_lines_total') - 1, 'all but the line of once');
});

story('a killed node: its commands are reported stopped by the others, and nothing of them is left', async (w) => {
  const { nodes, service } = await cluster(w, 3);
  const seconds = 100000 + (process.pid % 50000);
  const stream = await w.follow(nodes[0], 'topic=service:family');
  // Started on c, by whoever is asked: a child, one in another session, and an orphan.
  const family = service('family');
  await family.put(shell(`sleep ${seconds} & setsid sleep ${seconds} & (setsid sh -c 'exec sleep ${seconds}' &) ; wait`, { run_on: 'c' }));
  await family.order('start');
  const { node, pid } = await family.is('running');
  assert.equal(node, 'c');
  await until(() => sleepers(seconds).length === 3, { what: 'the family' });
  nodes[2].mayDie = true;
  await nodes[2].kill();
  const lost = await family.is('stopped');
  assert.deepEqual([lost.reason, lost.want], ['node_lost', 'running']);
  await until(() => isGone(pid) && sleepers(seconds).length === 0, { what: 'the family to go' });
  await seen(stream, (e) => e.type === 'service.stopped' && e.payload.reason === 'node_lost', 'service.stopped');
  assert.equal(changes(stream).filter((c) => c === 'running stopped node_lost').length, 1, 'told once, by one of two nodes');
  const health = (await w.client(nodes[0]).get('/api/services/health')).json;
  assert.deepEqual([health.services[0].status, health.overall_status], ['unhealthy', 'unhealthy']);
  // When its node is back, it is started again.
  const back = await w.node({ id: 'c', set: SET });
  const again = await family.is('running', (s) => s.pid !== pid && s.pid > 0);
  await until(() => sleepers(seconds).length === 3, { what: 'the family to be there again' });
  // An orderly end of the node ends it in order.
  const how = await back.stop();
  assert.equal(how.code, 0);
  assert.ok(isGone(again.pid));
  assert.equal(sleepers(seconds).length, 0);
  const stopped = await family.get();
  assert.deepEqual([stopped.state, stopped.reason], ['stopped', 'node_stopping']);
});

story('a node runs no program that its own services.programs does not list, whoever registered it', async (w) => {
  const { nodes, service } = await cluster(w, 1);
  const seconds = 200000 + (process.pid % 50000);
  const careful = await w.node({ set: { ...SET, services: { programs: '/bin/sleep' } } });
  const { id } = careful;
  const stream = await w.follow(nodes[0], 'topic=service:job');
  const job = service('job');
  await job.put(shell(`exec sleep ${seconds}`, { run_on: id }));
  await job.order('start');
  const failed = await job.is('failed');
  assert.deepEqual([failed.reason, failed.want, failed.node, failed.pid], ['forbidden', 'stopped', id, 0]);
  await seen(stream, (e) => e.type === 'service.error' && e.payload.code === 'forbidden', 'why');
  assert.equal((await job.metrics()).starts, 0);
  // Once more, by somebody's order; never by itself.
  await job.order('start');
  await until(async () => (await job.metrics()).errors === 2, { what: 'the second refusal' });
  await new Promise((resolve) => setTimeout(resolve, 500));
  assert.equal((await job.metrics()).errors, 2);
  assert.deepEqual(sleepers(seconds), []);
  // What was not started is no good result for its breaker.
  const breaker = (await w.client(nodes[0]).get('/api/breakers/service:job')).json;
  assert.deepEqual([breaker.state, breaker.window.successes, breaker.window.failures], ['closed', 0, 0]);
  // What it lists it runs.
  await job.put({ kind: 'command', command: ['/bin/sleep', String(seconds)], run_on: id, start_ms: 50 }, 200);
  await job.order('start');
  const { node } = await job.is('running');
  assert.equal(node, id);
});

story('a command that did its work while its node was taken for lost is not run again', async (w) => {
  const { nodes, service } = await cluster(w, 2);
  const go = path.join(w.folder, 'go');
  const once = service('once');
  await once.put(shell(`while [ ! -e ${go} ]; do sleep 0.05; done`, { restart: 'on_failure', run_on: nodes[1].id, autostart: true }));
  const { pid } = await once.is('running');
  process.kill(nodes[1].pid, 'SIGSTOP');
  try {
    await once.is('stopped', (s) => s.reason === 'node_lost' && s.want === 'running');
    writeFileSync(go, '');
    await until(() => isGone(pid), { what: 'the command to end' });
  } finally {
    process.kill(nodes[1].pid, 'SIGCONT');
  }
  await once.is('stopped', (s) => s.reason === 'exited' && s.want === 'stopped');
  assert.equal((await once.metrics()).starts, 1);
});

story('that a command has failed outlives its node; as a url it is probed', async (w) => {
  const { nodes, service } = await cluster(w, 1);
  const job = service('job');
  await job.put(shell('exit 3', { restart: 'never', autostart: true }));
  await job.is('failed', (s) => s.reason === 'exited');
  assert.equal((await nodes[0].stop()).code, 0);
  const before = await w.store.cmd('HGET', 'weft:service:{job}', 'fence');
  await w.node({ id: nodes[0].id, set: SET });
  const again = new Service(w.client(w.nodes[1]), 'job');
  await until(async () => await w.store.cmd('HGET', 'weft:service:{job}', 'fence') !== before, { what: 'the node to claim it' });
  await again.is('failed', (s) => s.reason === 'exited');
  await again.order('stop');
  await again.is('stopped', (s) => s.reason === 'asked');
  // Another kind is another service: nothing of the command is told of it.
  await again.order('start');
  await again.is('failed');
  const server = await upstream(w);
  const stream = await w.follow(w.nodes[1], 'topic=service:job');
  await again.put({ kind: 'url', url: server.url, interval_ms: 100 }, 200);
  await again.is('healthy');
  await new Promise((resolve) => setTimeout(resolve, 500));
  assert.deepEqual(changes(stream), ['unknown healthy probe_ok']);
});

story('without Redis commands run on; what became of them is told when it is back', async (w) => {
  const { nodes, service } = await cluster(w, 1);
  const job = service('job');
  await job.put(shell('exec sleep 1000', { autostart: true }));
  const { pid } = await job.is('running');
  await w.store.kill();
  await until(async () => (await w.client(nodes[0]).get('/api/services/job')).status === 503, { what: 'Redis to be missed' });
  const refused = await w.client(nodes[0]).send('POST', '/api/services/job/stop');
  assert.deepEqual([refused.status, refused.headers['retry-after']], [503, '1']);
  process.kill(pid, 'SIGKILL');
  await until(() => isGone(pid), { what: 'the process to end' });
  await w.store.restart();
  const again = await job.is('running', (s) => s.pid !== pid && s.pid > 0);
  assert.ok(!isGone(again.pid));
  assert.equal((await job.metrics()).starts, 2);
});

story('what is wrong is named, and changes nothing', async (w) => {
  const { nodes, service } = await cluster(w, 1, { services: { programs: '/bin/sleep,/bin/nothing-here', max: 2 } });
  const api = w.client(nodes[0]);
  await service('kept').put({ kind: 'command', command: ['/bin/sleep', '1000'], autostart: true });
  await service('kept').is('running');
  await until(async () => (await service('kept').metrics()).starts === 1, { what: 'its start to be counted' });
  const before = await w.store.cmd('HGETALL', 'weft:service:{kept}');
  const url = { kind: 'url', url: 'http://127.0.0.1:1/' };
  const table = [
    ['PUT', 'a%2Fb', url, 400, 'id'],
    ['PUT', 'a%20b', url, 400, 'id'],
    ['PUT', 'a:b', url, 400, 'id'],
    ['PUT', '%7Ba%7D', url, 400, 'id'],
    ['PUT', 'x'.repeat(65), url, 400, 'id'],
    ['PUT', 'health', url, 400, 'id'],
    ['PUT', 'kept', { ...url, kind: 'daemon' }, 400, 'kind'],
    ['PUT', 'kept', { ...url, url: 'ftp://127.0.0.1/' }, 400, 'url'],
    ['PUT', 'kept', { ...url, url: 'file:///etc/passwd' }, 400, 'url'],
    ['PUT', 'kept', { ...url, url: 'http://a:b@c/' }, 400, 'url'],
    ['PUT', 'kept', { ...url, interval_ms: 0 }, 400, 'interval_ms'],
    ['PUT', 'kept', { ...url, timeout_ms: 1e300 }, 400, 'timeout_ms'],
    ['PUT', 'kept', { ...url, labels: { 'a b': 'c' } }, 400, 'labels'],
    ['PUT', 'kept', { ...url, port: 1 }, 400, 'port'],
    ['PUT', 'kept', '{"kind":"url","url":"http://a","interval_ms":NaN}', 400, 'body'],
    ['PUT', 'kept', '', 400, 'kind'],
    ['PUT', 'kept', url, 409, 'kind'],
    ['PUT', 'other', { kind: 'command', command: ['/bin/nothing-here'] }, 400, 'command'],
    ['PUT', 'other', { kind: 'command', command: [] }, 400, 'command'],
    ['PUT', 'other', { kind: 'command', command: ['/bin/sleep', 'a\0b'] }, 400, 'command'],
    ['PUT', 'other', { kind: 'command', command: ['/bin/sh', '-c', 'true'] }, 403, 'command'],
    ['PUT', 'other', { kind: 'command', command: ['/bin/sleep', '1'], restart: 'perhaps' }, 400, 'restart'],
    ['PUT', 'other', { kind: 'command', command: ['/bin/sleep', '1'], backoff_min_ms: 20, backoff_max_ms: 10 }, 400, 'backoff_max_ms'],
    ['POST', 'nobody/start', '', 404, 'id'],
    ['POST', 'nobody/stop', '', 404, 'id'],
    ['GET', 'nobody', '', 404, 'id'],
    ['GET', 'nobody/metrics', '', 404, 'id'],
    ['POST', 'kept/start?now=1', '', 400, 'now'],
    ['POST', 'kept/stop', { force: true }, 400, 'force'],
  ];
  for (const [method, path, body, status, field] of table) {
    const text = typeof body === 'string' ? body : JSON.stringify(body);
    const answer = await api.send(method, `/api/services/${path}`, { body: text || undefined });
    assert.equal(answer.status, status, `${method} ${path} ${text}: ${answer.text}`);
    assert.equal(answer.json.error.field, field, `${method} ${path} ${text}: ${answer.text}`);
  }
  await service('web').put(url);
  assert.equal((await api.send('POST', '/api/services/web/start')).status, 409);
  const full = await api.send('PUT', '/api/services/third', { body: JSON.stringify(url) });
  assert.deepEqual([full.status, full.json.error.code], [409, 'full']);
  assert.deepEqual(await w.store.cmd('HGETALL', 'weft:service:{kept}'), before);
  assert.deepEqual((await w.store.cmd('SMEMBERS', 'weft:services')).sort(), ['kept', 'web']);
});
