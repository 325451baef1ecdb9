// The command line. An operator publishes, reads back and tails from a shell; a tail goes on at the other node when its own is
// killed, and a tail that was killed itself goes on with its cursor file: every event once. Exit codes say what happened.
import assert from 'node:assert/strict';
import { existsSync, readFileSync } from 'node:fs';
import http from 'node:http';
import path from 'node:path';
import { story } from './lib/story.mjs';
import { event, events } from './lib/http.mjs';
import { bin, cleanEnv } from './lib/node.mjs';
import { run } from './lib/process.mjs';
import { sleep, until } from './lib/wait.mjs';

const NEEDS = { needs: ['weftd', 'weft'] };

function weft(args, { url, ...options } = {}) {
  return run(bin('weft'), args, { env: cleanEnv(url ? { WEFT_URL: url } : {}), ...options });
}

function tail(w, args, url) {
  const program = w.program(bin('weft'), ['tail', ...args], { env: cleanEnv({ WEFT_URL: url }) });
  program.printed = () => program.lines.filter((line) => line.stream === 'stdout').map((line) => JSON.parse(line.text));
  program.prints = (n) => program.line(() => program.printed().length >= n, { what: `${n} events` });
  return program;
}

story('publish, history, topics', async (w) => {
  const [node] = await w.cluster();
  const url = node.origin;
  const one = await weft(['publish', 'repo:42', 'task.status_changed', '{"from":"pending","to":"running"}', '--field', 'task_id=7'], { url });
  assert.equal(one.code, 0, one.stderr);
  assert.match(one.stdout, /^\d+-\d+$/);
  const stdin = await weft(['publish', 'repo:42', 'note.added', '-'], { url, input: '{"text":"from stdin"}' });
  assert.equal(stdin.code, 0, stdin.stderr);
  const lines = Array.from({ length: 250 }, (_, i) => JSON.stringify({ type: 'line.read', payload: { n: i + 1 } })).join('\n');
  const many = await weft(['publish', 'lines', '--ndjson'], { url, input: `${lines}\n` });
  assert.equal(many.code, 0, many.stderr);
  assert.equal(many.stdout.split('\n').length, 250);

  const history = await weft(['history', 'lines', '--all'], { url });
  assert.equal(history.code, 0, history.stderr);
  assert.deepEqual(history.stdout.split('\n').map((line) => JSON.parse(line).payload.n), Array.from({ length: 250 }, (_, i) => i + 1));
  const newest = await weft(['history', 'lines', '--limit', '3', '--desc'], { url });
  assert.deepEqual(newest.stdout.split('\n').map((line) => JSON.parse(line).payload.n), [250, 249, 248]);
  const read = await weft(['history', 'repo:42'], { url });
  const [first, second] = read.stdout.split('\n').map((line) => JSON.parse(line));
  assert.equal(first.id, one.stdout);
  assert.deepEqual([first.task_id, first.payload], ['7', { from: 'pending', to: 'running' }]);
  assert.deepEqual(second.payload, { text: 'from stdin' });

  const topics = await weft(['topics'], { url });
  assert.equal(topics.code, 0);
  assert.match(topics.stdout, /^lines\b/m);
  assert.match(topics.stdout, /^repo:42\b/m);
  const some = await weft(['topics', 'repo'], { url });
  assert.doesNotMatch(some.stdout, /lines/);
}, NEEDS);

story('publish --producer: numbered lines; a second run adds nothing, a newer epoch shuts out the older one', async (w) => {
  const [node] = await w.cluster();
  const url = node.origin;
  const lines = Array.from({ length: 250 }, (_, i) => JSON.stringify({ type: 'line.read', payload: { n: i } }));
  const input = `${lines.slice(0, 120).join('\n')}\n\n \n${lines.slice(120).join('\n')}\n`;
  const numbered = (...more) => weft(['publish', 'lines', '--ndjson', '--producer', 'p', '--epoch', '1', ...more], { url, input });
  const first = await numbered();
  assert.equal(first.code, 0, first.stderr);
  assert.equal(first.stdout.split('\n').length, 250);
  const again = await numbered();
  assert.equal(again.code, 0, again.stderr);
  assert.equal(again.stdout, first.stdout.split('\n').slice(198).join('\n'), 'the ids of the last batch are still known');
  assert.equal((await w.store.ids('lines')).length, 250);
  const next = await weft(['publish', 'lines', 'line.read', '{"n":250}', '--producer', 'p', '--epoch', '1', '--seq', '250'], { url });
  assert.equal(next.code, 0, next.stderr);
  assert.equal((await weft(['publish', 'lines', 'line.read', '--producer', 'p', '--epoch', '2'], { url })).code, 0);
  const old = await numbered('--seq', '251');
  assert.equal(old.code, 1);
  assert.match(old.stderr, /epoch 2/);
  assert.equal((await w.store.ids('lines')).length, 252);
  const alone = await weft(['publish', 'alone', 'line.read', '--ack', 'replicas:1'], { url: `${url},${url}` });
  assert.equal(alone.code, 1, 'there is no replica');
  assert.match(alone.stderr, /0 of 1 replicas/);
  assert.equal((await w.store.ids('alone')).length, 1, 'it was not sent to the next node as well');
}, NEEDS);

story('tail: a line for each event; node a is killed, it goes on at node b', async (w) => {
  const nodes = await w.cluster(2);
  const api = w.client(nodes[1]);
  const program = tail(w, ['t', '--since', 'earliest', '--types', 'test.*', '--retry-max', '1'], `${nodes[0].origin},${nodes[1].origin}`);
  await api.published('t', events(1, 20));
  await program.prints(20);
  await nodes[0].kill();
  await api.published('t', events(21, 40));
  await program.prints(40);
  assert.deepEqual(program.printed().map((e) => e.payload.n), Array.from({ length: 40 }, (_, i) => i + 1));
  assert.deepEqual(Object.keys(program.printed()[0]).slice(0, 4), ['id', 'topic', 'type', 'ts']);
  assert.deepEqual(await program.stop({ signal: 'SIGTERM' }), { code: 0, signal: null });
}, NEEDS);

story('a tail that is killed goes on behind its cursor file, at the other node', async (w) => {
  const nodes = await w.cluster(2);
  const api = w.client(nodes[0]);
  const file = path.join(w.folder, 'cursor');
  await api.published('t', events(1, 30));
  const first = tail(w, ['t', '--since', 'earliest', '--cursor-file', file, '--count', '10'], nodes[0].origin);
  assert.equal((await first.exited).code, 0);
  assert.deepEqual(first.printed().map((e) => e.payload.n), [1, 2, 3, 4, 5, 6, 7, 8, 9, 10]);
  assert.equal(readFileSync(file, 'utf8').trim(), first.printed().at(-1).id);
  const second = tail(w, ['t', '--since', 'earliest', '--cursor-file', file], nodes[1].origin);
  await second.prints(20);
  // Killed between printing an event and noting it, it would print that one again: wait for the note.
  const last = second.printed().at(-1).id;
  while (readFileSync(file, 'utf8').trim() !== last) await sleep(2);
  await second.kill();
  await api.published('t', events(31, 40));
  const third = tail(w, ['t', '--cursor-file', file], nodes[0].origin);
  await third.prints(10);
  const all = [first, second, third].flatMap((program) => program.printed().map((e) => e.payload.n));
  assert.deepEqual(all, Array.from({ length: 40 }, (_, i) => i + 1));
}, NEEDS);

// What a node answers who cannot know, or knows, whether it was done; and how often it was asked.
async function answering(w, status, error) {
  const asked = [];
  const server = http.createServer((request, response) => {
    asked.push(`${request.method} ${request.url}`);
    response.writeHead(status, { 'content-type': 'application/problem+json' });
    response.end(JSON.stringify({ type: 'about:blank', title: '-', status, detail: error?.message ?? '-', ...(error && { error }) }));
  });
  await new Promise((listening) => server.listen(0, '127.0.0.1', listening));
  w.atEnd(() => new Promise((closed) => server.close(closed)));
  return { asked, origin: `http://127.0.0.1:${server.address().port}` };
}

story('what may have been done is not done again at the next node, and what was not is', async (w) => {
  const [node] = await w.cluster();
  const message = 'Redis went away before it answered';
  const publish = ['publish', 't', 'a'];
  for (const [args, status, error, again] of [
    [publish, 503, { code: 'unavailable', message }, false],
    [publish, 503, { code: 'unavailable', message, written: false }, true],
    [publish, 503, { code: 'busy', message }, true],
    [publish, 503, undefined, false],
    [publish, 502, { code: 'unavailable', message }, false],
    [[...publish, '--key', 'k'], 503, { code: 'unavailable', message }, true],
    [[...publish, '--producer', 'p', '--epoch', '1'], 503, { code: 'unavailable', message }, true],
    [['services', 'restart', 's'], 503, { code: 'unavailable', message }, false],
    [['topics'], 503, { code: 'unavailable', message }, true],
  ]) {
    const first = await answering(w, status, error);
    const second = again ? node : await answering(w, 503, { code: 'busy', message });
    const done = await weft(args, { url: `${first.origin},${second.origin}` });
    const what = `weft ${args.join(' ')}: ${status} ${JSON.stringify(error)}: ${done.code} ${done.stderr}`;
    assert.equal(first.asked.length, 1, what);
    assert.equal(done.code, again ? 0 : 1, what);
    if (again) continue;
    assert.deepEqual(second.asked, [], what);
    assert.match(done.stderr, /may have been done/, what);
  }
}, NEEDS);

story('a tail that began in the past and has had no event yet loses none over a cut', async (w) => {
  const nodes = await w.cluster(2);
  const api = w.client(nodes[1]);
  await api.published('t', event(1));
  const file = path.join(w.folder, 'cursor');
  const program = tail(w, ['t', '--since', '-0s', '--cursor-file', file, '--retry-max', '1'], `${nodes[0].origin},${nodes[1].origin}`);
  await until(() => existsSync(file), { what: 'a cursor' });
  await nodes[0].kill();
  const [missed] = await api.published('t', event(2));
  await program.prints(1);
  assert.equal(program.printed()[0].id, missed);
}, NEEDS);

story('what a node takes, publish sends and history prints', async (w) => {
  const [node] = await w.cluster();
  const url = node.origin;
  const deep = (n) => `{"p":${'{"a":'.repeat(n)}1${'}'.repeat(n)}}`;
  const payloads = ['{"n":123456789012345678901234567890}', '{"n":1e400}', '{"s":"a\\u0000b"}', deep(61)];
  for (const payload of payloads) {
    const done = await weft(['publish', 't', 'a', payload], { url });
    assert.equal(done.code, 0, done.stderr);
  }
  const history = await weft(['history', 't'], { url });
  assert.equal(history.code, 0, history.stderr);
  const printed = history.stdout.split('\n');
  assert.deepEqual(printed.map((line) => line.slice(line.indexOf('"payload":') + 10, line.indexOf(',"node"'))), payloads);
  for (const payload of ['{"a":1,"a":2}', '{"a":01}', '{', deep(70)]) {
    const done = await weft(['publish', 't', 'a', payload], { url });
    assert.equal(done.code, 2, payload);
    assert.match(done.stderr, /at byte \d+/);
  }
}, NEEDS);

story('publish --ndjson goes on when the reader of its ids goes away', async (w) => {
  const [node] = await w.cluster();
  const lines = Array.from({ length: 1000 }, (_, i) => JSON.stringify({ type: 'line.read', payload: { n: i } })).join('\n');
  const done = await run('sh', ['-c', `("${bin('weft')}" publish lines --ndjson --url ${node.origin}; echo "code $?" >&2) | head -n 1`], { env: cleanEnv(), input: `${lines}\n` });
  assert.match(done.stderr, /code 0$/);
  assert.equal((await w.store.ids('lines')).length, 1000);
  const full = await run('sh', ['-c', `"${bin('weft')}" publish full --ndjson --url ${node.origin} > /dev/full`], { env: cleanEnv(), input: `${lines}\n` });
  assert.equal(full.code, 1, full.stderr);
  assert.match(full.stderr, /not taken: what stands after line 100/);
  assert.equal((await w.store.ids('full')).length, 100);
}, NEEDS);

story('revocations: a list that is cut says so', async (w) => {
  const [node] = await w.cluster();
  assert.equal((await weft(['revocations', 'add', 'one'], { url: node.origin })).code, 0);
  const whole = await weft(['revocations'], { url: node.origin });
  assert.deepEqual([whole.stdout, whole.stderr], ['one\tfor ever', '']);
  const key = (await w.store.cmd('KEYS', 'weft:{revoked}*')).find((name) => !name.endsWith(':version'));
  await w.store.cmd('EVAL', "for i = 1, 10000 do redis.call('ZADD', KEYS[1], '9000000000000000', 'jti' .. i) end", '1', key);
  const cut = await weft(['revocations'], { url: node.origin });
  assert.equal(cut.code, 0);
  assert.equal(cut.stdout.split('\n').length, 10000);
  assert.match(cut.stderr, /first 10000.*more/);
}, NEEDS);

story('a cursor that cannot be kept is no success', async (w) => {
  const [node] = await w.cluster();
  await w.client(node).published('t', event(1));
  const done = await weft(['tail', 't', '--since', 'earliest', '--count', '1', '--cursor-file', path.join(w.folder, 'none/cursor')], { url: node.origin });
  assert.equal(done.code, 1, done.stderr);
}, NEEDS);

story('tail tells a gap and can end on it', async (w) => {
  const [node] = await w.cluster(1, { node: { set: { ring: { events: 1 }, replay: { cache_bytes: 0 } } } });
  const ids = await w.client(node).published('t', events(1, 10));
  await w.store.cli('XTRIM', 'weft:{0}:log:t', 'MAXLEN', '=', '3');
  const tells = tail(w, ['t', '--last-event-id', ids[0], '--control', '--count', '3'], node.origin);
  assert.equal((await tells.exited).code, 0);
  assert.deepEqual(tells.printed().map((e) => e.type), ['weft.open', 'weft.gap', 'test.counted', 'test.counted', 'test.counted']);
  const ends = tail(w, ['t', '--last-event-id', ids[0], '--fail-on-gap'], node.origin);
  assert.equal((await ends.exited).code, 3);
  const silent = tail(w, ['t', '--last-event-id', ids[0], '--count', '3'], node.origin);
  assert.equal((await silent.exited).code, 0);
  assert.match(silent.output('stderr'), /gap/i, 'on stderr it is told in any case');
}, NEEDS);

story('exit codes: refused 1, wrong usage 2, unreachable 4; messages on stderr only', async (w) => {
  const [node] = await w.cluster();
  const url = node.origin;
  for (const [args, code, options = { url }] of [
    [['publish', 't', 'task.status_changed', '{"from":"a"}'], 1],
    [['publish', 'bad topic', 'a'], 1],
    [['publish', 't', 'weft.open'], 1],
    [['history', 'never'], 1],
    [['tail', 'a**', '--count', '1'], 1],
    [['publish', 't', 'a', 'not json'], 2],
    [['publish'], 2],
    [['publish', 't', 'a', '--producer', 'p'], 2],
    [['publish', 't', 'a', '--epoch', '1'], 2],
    [['publish', 't', 'a', '--seq', '1'], 2],
    [['publish', 't', 'a', '--producer', 'p', '--epoch', '1', '--key', 'k'], 2],
    [['publish', 't', 'a', '--producer', 'p', '--epoch', '9007199254740992'], 2],
    [['publish', 't', 'a', '--producer', 'a/b', '--epoch', '1'], 1],
    [['publish', 't', 'a', '--ack', 'disk'], 1],
    [['nope'], 2],
    [['tail', 't', '--nope'], 2],
    [['tail', 't', '--count', '0'], 2],
    [[], 2],
    [['topics'], 4, { url: 'http://127.0.0.1:1' }],
    [['publish', 't', 'a'], 4, { url: 'http://127.0.0.1:1' }],
    [['tail', 't', '--give-up', '1'], 4, { url: 'http://127.0.0.1:1' }],
  ]) {
    const done = await weft(args, options);
    assert.equal(done.code, code, `weft ${args.join(' ')}: ${done.code} ${done.stderr}`);
    assert.equal(done.stdout, '', args.join(' '));
    assert.notEqual(done.stderr, '', args.join(' '));
  }
}, NEEDS);

story('--help for all, on stdout', async () => {
  for (const args of [['--help'], ['publish', '--help'], ['tail', '--help'], ['history', '--help'], ['topics', '--help']]) {
    const done = await weft(args);
    assert.equal(done.code, 0);
    assert.match(done.stdout, /^usage: weft/);
    assert.match(done.stdout, /exit codes/);
  }
  const version = await weft(['--version']);
  assert.equal(version.code, 0);
  assert.match(version.stdout, /\d+\.\d+/);
}, NEEDS);

story('a reader that goes away ends the tail quietly', async (w) => {
  const [node] = await w.cluster();
  const api = w.client(node);
  await api.published('t', events(1, 5));
  const piped = w.program('sh', ['-c', `("${bin('weft')}" tail t --since earliest --url ${node.origin}; echo "code $?" >&2) | head -n 5`], { env: cleanEnv() });
  await piped.line(() => piped.lines.filter((line) => line.stream === 'stdout').length === 5, { what: 'five lines' });
  // It cannot know before it has something to say.
  for (let n = 6; piped.running && n < 100; n++) {
    await api.published('t', events(n, n));
    await Promise.race([piped.exited, sleep(50)]);
  }
  await piped.exited;
  assert.match(piped.output('stderr'), /code 0$/);
  assert.doesNotMatch(piped.output('stderr'), /pipe/i);
}, NEEDS);
