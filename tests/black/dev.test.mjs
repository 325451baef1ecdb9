// `weftd dev`: a developer types one command and has a running fabric: a private Redis on a UNIX socket, its data in a folder
// that survives, and nothing left behind however the node ends.
import assert from 'node:assert/strict';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { story } from './lib/story.mjs';
import { Client, events } from './lib/http.mjs';
import { bin, cleanEnv, logLine } from './lib/node.mjs';
import { run } from './lib/process.mjs';
import { until } from './lib/wait.mjs';

// The children of a process, from /proc.
function children(pid) {
  const found = [];
  for (const name of readdirSync('/proc')) {
    if (!/^\d+$/.test(name)) continue;
    try {
      const stat = readFileSync(`/proc/${name}/stat`, 'latin1');
      if (Number(stat.slice(stat.lastIndexOf(')') + 2).split(' ')[1]) === pid) found.push(Number(name));
    } catch {
      // ended meanwhile
    }
  }
  return found;
}

function alive(pid) {
  try {
    return !/^\d+ \(.*\) Z/.test(readFileSync(`/proc/${pid}/stat`, 'latin1'));
  } catch {
    return false;
  }
}

async function startDev(w, data, { args = [], env = {} } = {}) {
  const program = w.program(bin('weftd'), ['dev', '--data', data, '--listen', '127.0.0.1:0', ...args], { env: cleanEnv(env), cwd: w.folder });
  const line = await program.line((text) => {
    const found = logLine(text);
    return found?.event === 'node.listening' ? found : null;
  }, { what: 'node.listening' });
  await program.line((text) => logLine(text)?.event === 'node.ready', { what: 'node.ready' });
  const port = Number(line.address.slice(line.address.lastIndexOf(':') + 1));
  const api = new Client(`http://127.0.0.1:${port}`);
  w.atEnd(() => api.close());
  const [redis] = children(program.pid);
  assert.ok(redis, 'it has a child');
  w.atEnd(() => alive(redis) && process.kill(redis, 'SIGKILL'));
  return { program, port, api, redis };
}

story('one command: publish, follow, what to type next', async (w) => {
  const dev = await startDev(w, path.join(w.folder, 'data'));
  const stream = await w.follow(dev, 'topic=t');
  const ids = await dev.api.published('t', events(1, 3));
  assert.deepEqual((await stream.take(3)).map((e) => e.id), ids);
  assert.match(dev.program.output(), new RegExp(`weft tail .*127\\.0\\.0\\.1:${dev.port}`));
  assert.match(dev.program.output(), /weft publish /);
  assert.match(dev.program.output(), new RegExp(`http://127\\.0\\.0\\.1:${dev.port}/`));
  stream.cut();
  assert.deepEqual(await dev.program.stop(), { code: 0, signal: null });
});

story('its Redis is private: a UNIX socket for the owner, no port, AOF on', async (w) => {
  const data = path.join(w.folder, 'data');
  const dev = await startDev(w, data);
  const socket = path.join(data, readdirSync(data).find((name) => name.endsWith('.sock')));
  const cli = async (...words) => (await run('redis-cli', ['-s', socket, ...words])).stdout.split('\n');
  assert.deepEqual(await cli('CONFIG', 'GET', 'port'), ['port', '0']);
  assert.deepEqual(await cli('CONFIG', 'GET', 'appendonly'), ['appendonly', 'yes']);
  assert.match(readFileSync(`/proc/${dev.redis}/cmdline`, 'latin1'), /redis-server/);
});

story('the data survives a restart, and cursors stay good', async (w) => {
  const data = path.join(w.folder, 'new folder');
  const first = await startDev(w, data);
  const ids = await first.api.published('t', events(1, 10));
  assert.deepEqual(await first.program.stop(), { code: 0, signal: null });
  await until(() => !alive(first.redis), { what: 'its Redis to end' });
  const second = await startDev(w, data);
  const stream = await w.follow(second, 'topic=t', { lastEventId: ids[3] });
  const [later] = await second.api.published('t', events(11, 11));
  assert.deepEqual((await stream.take(7)).map((e) => e.id), [...ids.slice(4), later]);
  assert.deepEqual(stream.control('weft.gap'), []);
});

for (const signal of ['SIGTERM', 'SIGINT']) {
  story(`${signal}: the node ends with 0, and its Redis with it`, async (w) => {
    const dev = await startDev(w, path.join(w.folder, 'data'));
    assert.deepEqual(await dev.program.stop({ signal }), { code: 0, signal: null });
    await until(() => !alive(dev.redis), { what: 'its Redis to end' });
  });
}

story('kill -9: the Redis ends all the same, nothing acknowledged is lost, and the next start works', async (w) => {
  const data = path.join(w.folder, 'data');
  const first = await startDev(w, data);
  const ids = await first.api.published('t', events(1, 50));
  await first.program.kill();
  await until(() => !alive(first.redis), { what: 'its Redis to end' });
  const second = await startDev(w, data);
  const { json } = await second.api.get('/api/topics/t/events');
  assert.deepEqual(json.events.map((e) => e.id), ids);
});

story('its Redis is killed: the node says so, and serves again or ends; it does not stay deaf', async (w) => {
  const dev = await startDev(w, path.join(w.folder, 'data'));
  await dev.api.published('t', events(1, 3));
  process.kill(dev.redis, 'SIGKILL');
  await until(async () => !dev.program.running || (await dev.api.publish('t', { type: 'a' })).status === 201, { what: 'the node to serve again or to end', every: 100 });
  if (!dev.program.running) assert.notEqual(dev.program.exit.code, 0);
});

story('no redis-server on the PATH: a sentence that helps, and an exit code', async (w) => {
  const done = await run(bin('weftd'), ['dev', '--data', path.join(w.folder, 'data'), '--listen', '127.0.0.1:0'], { env: { PATH: w.folder } });
  assert.notEqual(done.code, 0);
  assert.notEqual(done.code, null, `signal ${done.signal}`);
  assert.match(done.stdout + done.stderr, /redis-server/);
  assert.match(done.stdout + done.stderr, /install|PATH/);
});

story('a data folder that is in use is left alone', async (w) => {
  const data = path.join(w.folder, 'data');
  const first = await startDev(w, data);
  const ids = await first.api.published('t', events(1, 5));
  const second = await run(bin('weftd'), ['dev', '--data', data, '--listen', '127.0.0.1:0'], { env: cleanEnv(), ms: 10_000 });
  assert.notEqual(second.code, 0, 'the second one refuses to start');
  assert.ok(alive(first.redis));
  const [later] = await first.api.published('t', events(6, 6));
  const { json } = await first.api.get('/api/topics/t/events');
  assert.deepEqual(json.events.map((e) => e.id), [...ids, later]);
});

story('a Redis of its own, and no other', async (w) => {
  for (const [args, env] of [[['--redis', 'redis://127.0.0.1:1'], {}], [[], { WEFT_REDIS_URL: 'redis://127.0.0.1:1' }]]) {
    const done = await run(bin('weftd'), ['dev', '--data', path.join(w.folder, 'data'), '--listen', '127.0.0.1:0', ...args], { env: cleanEnv(env), ms: 10_000 });
    assert.equal(done.code, 2);
    assert.match(done.stderr, /redis\.url.*Redis of its own/);
  }
  assert.ok(!existsSync(path.join(w.folder, 'data')));
});

story('it connects when its Redis is there, and says how to look into it', async (w) => {
  const data = path.join(w.folder, 'data');
  const dev = await startDev(w, data);
  const [, socket] = await dev.program.line((text) => /redis-cli -s (\S+)/.exec(text), { what: 'what to type next' });
  assert.ok(existsSync(socket));
  assert.ok(!dev.program.output().includes('redis.unreachable'), dev.program.output());
  assert.deepEqual(await dev.program.stop(), { code: 0, signal: null });
});

story('without tokens it listens on loopback only', async (w) => {
  const done = await run(bin('weftd'), ['dev', '--data', path.join(w.folder, 'data'), '--listen', '0.0.0.0:0'], { env: cleanEnv(), ms: 10_000 });
  assert.notEqual(done.code, 0);
  assert.match(done.stdout + done.stderr, /loopback|127\.0\.0\.1/);
  assert.ok(!existsSync(path.join(w.folder, 'data', 'redis.sock')));
});
