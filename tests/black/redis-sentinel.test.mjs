// A master with two replicas and three Sentinels. Whatever makes another server the master (it is killed, somebody asks for
// it, it is cut off and does not know), the nodes go there by themselves: streams stay open and are told, publishes are
// refused meanwhile and never acknowledged by the wrong server, and what the new master has reaches every reader, once.
import assert from 'node:assert/strict';
import path from 'node:path';
import { readFileSync } from 'node:fs';
import { story } from './lib/story.mjs';
import { event, events } from './lib/http.mjs';
import { logLine, ROOT } from './lib/node.mjs';
import { Sentinel, Sentinels } from './lib/sentinel.mjs';
import { deadline, sleep, until } from './lib/wait.mjs';

const FAST = { redis: { backoff_min_ms: 20, backoff_max_ms: 200, sentinel_ask_ms: 200, connect_timeout_ms: 1000 } };

async function watched(w, options) {
  const set = new Sentinels(path.join(w.folder, 'set'), options);
  w.atEnd(() => set.stop());
  return set.start();
}

function node(w, set, options = {}) {
  return w.node({ redis: set.url, set: FAST, ...options });
}

// One publisher that goes on whatever the answer is.
function publisher(api, topic) {
  const made = { acked: [], refused: 0, other: [], go: true };
  made.done = (async () => {
    for (let n = 1; made.go; n++) {
      const answer = await api.publish(topic, event(n)).catch((error) => ({ status: 0, text: error.message }));
      if (answer.status === 201) made.acked.push(answer.json.ids[0]);
      else if (answer.status === 503) made.refused++;
      else made.other.push(`${answer.status} ${answer.text}`);
      if (answer.status !== 201) await sleep(5);
    }
  })();
  return made;
}

async function more(made, n) {
  const want = made.acked.length + n;
  await until(() => made.acked.length >= want, { what: `${n} more acknowledged publishes` });
}

// All that is in the log came on the stream, in its order and once.
async function hasAll(stream, log) {
  await stream.until(() => new Set(stream.events.map((e) => e.id)).has(log.at(-1)), { what: 'the last event of the log' });
  const got = stream.events.map((e) => e.id);
  assert.equal(new Set(got).size, got.length, 'no event came twice');
  const kept = new Set(log);
  assert.deepEqual(got.filter((id) => kept.has(id)), log);
  return got.filter((id) => !kept.has(id)); // what the failover lost
}

story('kill -9 of the master under load', async (w) => {
  const set = await watched(w);
  const nodes = [await node(w, set), await node(w, set)];
  const apis = nodes.map((n) => w.client(n));
  const streams = [await w.follow(nodes[0], 'topic=t'), await w.follow(nodes[1], 'topic=*')];
  const made = apis.map((api) => publisher(api, 't'));
  for (const one of made) await more(one, 100);
  const old = await set.killMaster();
  for (const stream of streams) await stream.waitControl('weft.degraded');
  const master = await set.promoted(old);
  for (const stream of streams) await stream.waitControl('weft.recovered');
  for (const one of made) await more(one, 100);
  for (const one of made) one.go = false;
  await Promise.all(made.map((one) => deadline(one.done, { what: 'a publisher to end' })));
  assert.deepEqual(made.flatMap((one) => one.other), []);
  await apis[0].published('t', event(-1));

  const log = await master.ids('t');
  const kept = new Set(log);
  const first = Number(log.at(-1).split('-')[1]);
  const incarnation = first - (first % 1e9);
  assert.ok(incarnation > 0, 'the sequence leapt');
  const acked = made.flatMap((one) => one.acked);
  const lost = acked.filter((id) => !kept.has(id));
  for (const id of lost) assert.ok(Number(id.split('-')[1]) < incarnation, `${id} was acknowledged after the failover and is gone`);
  for (const stream of streams) {
    await hasAll(stream, log);
    assert.ok(!stream.ended, 'the stream stayed open');
  }
  w.note(`${acked.length} acknowledged, ${lost.length} of them lost with the old master, ${made[0].refused + made[1].refused} refused`);

  // It comes back as it was, a master, until the Sentinels make it follow: nobody goes there.
  await old.restart();
  await until(async () => (await old.cmd('ROLE'))[0] === 'slave', { what: 'the old master to follow', ms: 30_000 });
  const [id] = await apis[1].published('t', event(-2));
  assert.ok((await master.ids('t')).includes(id));
}, { timeout: 120_000 });

// The node is the Sentinels' ACL user that docs/redis.md names.
async function documentedUser(set) {
  const [, line] = /^(ACL SETUSER weft-node .*switch-master.*)$/m.exec(readFileSync(path.join(ROOT, 'docs/redis.md'), 'utf8'));
  for (const sentinel of set.sentinels) await sentinel.cmd(...line.split(' '));
  return `${set.url}?sentinel_user=weft-node&sentinel_password=secret`;
}

story('SENTINEL FAILOVER, twice: the nodes leave the master that was demoted', async (w) => {
  const set = await watched(w);
  const a = await node(w, set, { redis: await documentedUser(set) });
  const api = w.client(a);
  const stream = await w.follow(a, 'topic=t');
  const before = await api.published('t', events(1, 5));
  for (let round = 1; round <= 2; round++) {
    const old = await set.master();
    await until(async () => (await old.cmd('INFO', 'replication')).match(/lag=0/g)?.length === 2, { what: 'the replicas to have everything' });
    const master = await set.failover();
    await stream.waitControl('weft.recovered', round);
    await a.logged('redis.connected', { where: (l) => l.connection.endsWith('-publish') && l.address.endsWith(`:${master.port}`) });
    const id = await until(async () => {
      const answer = await api.publish('t', event(round));
      return answer.status === 201 && answer.json.ids[0];
    }, { what: 'a publish to be taken' });
    assert.ok((await master.ids('t')).includes(id), 'the new master has it');
    assert.deepEqual(await hasAll(stream, await master.ids('t')), [], 'nothing was lost');
    await set.readyToFailOver();
  }
  assert.ok(before.every((id, i) => stream.events[i].id === id));
  assert.ok(!stream.ended);
  const told = a.program.lines.map((l) => logLine(l.text)).filter((l) => l?.event === 'sentinel.master').length;
  assert.ok(told >= 3, 'the first master, and two after it; Sentinels on a busy machine may have chosen once more');
  assert.equal(await a.metric('weft_redis_master_changes_total'), told);
  for (const sentinel of set.sentinels) assert.deepEqual(await sentinel.cmd('ACL', 'LOG'), [], 'nothing was denied');
}, { timeout: 120_000 });

// The old master lives, takes writes, and never hears that it was replaced.
async function cutOff(w, prepare) {
  const set = await watched(w);
  const a = await node(w, set, await prepare(set));
  const api = w.client(a);
  const made = publisher(api, 't');
  await more(made, 20);
  const old = await set.isolateMaster();
  const master = await set.promoted(old);
  await a.logged('redis.connected', { where: (l) => l.connection.endsWith('-publish') && l.address.endsWith(`:${master.port}`) });
  const left = (await old.ids('t')).length;
  await more(made, 50);
  made.go = false;
  await made.done;
  assert.equal((await old.cmd('ROLE'))[0], 'master', 'the old one was never told');
  assert.equal((await old.ids('t')).length, left, 'it got nothing more');
  const log = await master.ids('t');
  assert.deepEqual(log.slice(-20), made.acked.slice(-20));
  const lost = made.acked.filter((id) => !log.includes(id));
  w.note(`${made.acked.length} acknowledged, ${lost.length} by the master that was cut off`);
  await set.heal(old);
  await until(async () => (await old.cmd('ROLE'))[0] === 'slave', { what: 'the old master to follow', ms: 30_000 });
  await api.published('t', event(0));
  return a;
}

story('a master that is cut off: left when a Sentinel says +switch-master', (w) => cutOff(w, () => (
  { set: { redis: { ...FAST.redis, sentinel_ask_ms: 60_000 } } } // so seldom asked that nothing else can tell
)), { timeout: 120_000 });

story('a master that is cut off: left when the Sentinels are asked next', async (w) => {
  const a = await cutOff(w, async (set) => {
    const rights = ['+auth', '+ping', '+role', '+client|setname', '+sentinel|master', '+sentinel|get-master-addr-by-name'];
    for (const sentinel of set.sentinels) await sentinel.cmd('ACL', 'SETUSER', 'deaf', 'reset', 'on', '>p', ...rights);
    return { redis: `${set.url}?sentinel_user=deaf&sentinel_password=p` };
  });
  assert.equal(a.program.lines.filter((l) => l.text.includes('redis.refused')).length, 1, 'that it may not listen is told once');
}, { timeout: 120_000 });

story('Sentinels that are away, or know nothing of this master: another one is asked', async (w) => {
  const set = await watched(w);
  const stranger = new Sentinel(path.join(w.folder, 'stranger'), {
    name: 'else', masterPort: set.servers[0].port, quorum: 1, user: set.watcher, downAfter: 60_000, host: '127.0.0.1', lines: [],
  });
  w.atEnd(() => stranger.kill());
  await stranger.start();
  await set.sentinels[0].kill();
  const [gone, ...there] = set.sentinels.map((s) => `127.0.0.1:${s.port}`);
  const url = `redis+sentinel://node:weave@${gone},127.0.0.1:${stranger.port},${there.join(',')}/${set.name}/0`;
  const a = await node(w, set, { redis: url });
  const told = await a.logged('sentinel.master_unknown');
  assert.deepEqual([told.sentinel, told.master], [`127.0.0.1:${stranger.port}`, 'events']);
  const refused = await a.logged('redis.unreachable', { where: (l) => l.address === gone });
  assert.match(refused.why, /refused/);
  const stream = await w.follow(a, 'topic=t');
  await w.client(a).published('t', event(1));
  await set.killMaster().then((old) => set.promoted(old));
  await stream.waitControl('weft.recovered');
  const id = await until(async () => {
    const answer = await w.client(a).publish('t', event(2));
    return answer.status === 201 && answer.json.ids[0];
  }, { what: 'a publish to be taken' });
  await stream.until(() => stream.events.at(-1).id === id, { what: 'the event' });
  const lines = a.program.lines.filter((l) => l.text.includes('"sentinel.master_unknown"') || (l.text.includes('redis.unreachable') && l.text.includes(gone)));
  assert.ok(lines.length <= 3, `told once (each connection): ${lines.map((l) => l.text).join('\n')}`);

  // The rest of them go away too: the last answer stands.
  for (const sentinel of set.sentinels) await sentinel.kill();
  await stranger.kill();
  await w.client(a).published('t', event(3));
}, { timeout: 120_000 });

story('no Sentinel at first; they have a password and announce names', async (w) => {
  const set = await watched(w, {
    host: 'localhost', password: 'h?sh', args: ['--replica-announce-ip', 'localhost'], lines: ['sentinel announce-hostnames yes', 'sentinel announce-ip localhost'],
  });
  for (const sentinel of set.sentinels) await sentinel.kill();
  const a = await node(w, set, { ready: false });
  const lost = await a.logged('redis.unreachable', { where: (l) => l.connection.endsWith('-publish') });
  assert.deepEqual([lost.address, lost.why], ['the master events', 'nobody has said where it is']);
  assert.equal((await w.client(a).publish('t', event(1))).status, 503);
  for (const sentinel of set.sentinels) await sentinel.start();
  await a.logged('node.ready');
  const known = await a.logged('sentinel.master');
  assert.deepEqual([known.host, known.port], ['localhost', set.servers[0].port]);
  await w.client(a).published('t', event(1));
  await set.readyToFailOver();
  const master = await set.failover();
  await a.logged('redis.connected', { where: (l) => l.connection.endsWith('-read') && l.address === `localhost:${master.port}` });
  assert.ok(!a.program.output().includes('h?sh') && !a.program.output().includes('weave'), 'no password in the log');
}, { timeout: 120_000 });
