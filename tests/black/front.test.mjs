// Behind nginx, as docker/nginx configures it: TLS and HTTP/2 for the clients, two nodes behind it. Events come one by one, as they
// are published; whatever breaks (a node is killed, nginx reloads, connections are cut), every client goes on with its last id on
// whatever node it is given, and loses and repeats nothing. What must not be sent twice is not, what must not be logged is not.
import assert from 'node:assert/strict';
import net from 'node:net';
import tls from 'node:tls';
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { story } from './lib/story.mjs';
import { browser, ByCurl, ByEventSource, ByHttp2, curl, hangsUp, Publisher, upgrades } from './lib/front.mjs';
import { event, events } from './lib/http.mjs';
import { ROOT } from './lib/node.mjs';
import { Nginx, selfMade } from './lib/nginx.mjs';
import { deadline, QUICK, until } from './lib/wait.mjs';

const EVENTS = QUICK ? 400 : 1000;
// Clients come back soon, and what is gone is noticed soon.
const SOON = { sse: { retry_ms: 50, retry_jitter_ms: 50 }, limits: { api_proxies: 1 } };
const count = (n) => Array.from({ length: n }, (_, i) => i + 1);

async function behind(w, nodes, options) {
  const nginx = new Nginx(w.folder, await selfMade(w.folder), nodes.map((node) => node.port), options);
  w.atEnd(() => nginx.stop());
  return nginx.start();
}

async function front(w, { n = 2, set = {}, ...options } = {}) {
  const nodes = await w.cluster(n, { node: { set: { ...SOON, ...set } } });
  return { nodes, nginx: await behind(w, nodes, options) };
}

// ---- event by event

story('each event is there before the next one is published, over HTTP/2 and HTTP/1.1', async (w) => {
  const { nodes, nginx } = await front(w);
  const api = w.client(nodes[0]);
  const stream = browser(w, nginx).follow('topic=t');
  await stream.open();
  assert.equal(stream.head.headers['content-type'], 'text/event-stream');
  const readers = [];
  for (const version of ['--http2', '--http1.1']) {
    const program = curl(w, nginx, [version, `${nginx.origin}/api/events?topic=t`, '-H', 'accept: text/event-stream']);
    await program.line((text) => text === 'event: weft.open', { what: 'weft.open' });
    assert.equal(program.lines[0].text.trim(), version === '--http2' ? 'HTTP/2 200' : 'HTTP/1.1 200 OK');
    readers.push(program);
  }
  for (let n = 1; n <= 20; n++) {
    const [id] = await api.published('t', event(n));
    assert.equal((await stream.take(n)).at(-1).id, id);
    for (const program of readers) await program.line((text) => text === `id: ${id}`, { what: `event ${n}` });
  }
  assert.ok(!stream.ended && readers.every((program) => program.running));
});

story('what is published through it comes back through it; a heartbeat too', async (w) => {
  const { nginx } = await front(w, { set: { sse: { heartbeat_ms: 100 } } });
  const client = browser(w, nginx);
  const stream = client.follow('topic=t');
  await stream.open();
  const text = 'x'.repeat(200_000); // beyond every buffer on the way
  const answer = await client.send('POST', '/api/topics/t/events', {
    headers: { 'content-type': 'application/json' }, body: JSON.stringify(event(1, { payload: { text } })),
  });
  assert.equal(answer.status, 201);
  assert.equal((await stream.take(1))[0].payload.text, text);
  const before = stream.comments;
  await stream.until((s) => s.comments >= before + 3, { what: 'heartbeats' });
});

// ---- 1,000 events, and everything that breaks

story(`${EVENTS} events: nodes killed, nginx reloaded, connections cut; nothing lost, nothing repeated`, async (w) => {
  const random = w.random();
  const { nodes, nginx } = await front(w);
  const followers = [ByEventSource, ByEventSource, ByHttp2, ByHttp2, ByCurl].map((Way) => new Way(w, nginx));
  w.atEnd(() => {
    for (const follower of followers) follower.over = true;
  });
  for (const follower of followers) follower.start();
  await until(() => followers.every((f) => f.opened === 1), { what: 'all to be there' });

  const breaks = {
    kill: async (which) => {
      const old = nodes[which];
      await old.kill();
      nodes[which] = await w.node({ id: old.id, port: old.port, set: SOON });
    },
    reload: () => nginx.reload(),
    cut: async () => {
      for (const follower of random.some(followers, random.between(1, followers.length))) follower.cut();
    },
  };
  const plan = random.some([['kill', 0], ['kill', 1], ['reload'], ['cut'], ['cut'], ['cut'], ['kill', 0], ['reload'], ['kill', 1], ['cut']], QUICK ? 8 : 10);
  const step = Math.floor(EVENTS / (plan.length + 1));
  w.note(plan.map((words) => words.join(' ')).join(', '));

  // Things break while events are published, neither far ahead of the other.
  const publisher = new Publisher(w, nginx);
  let broken = 0;
  await Promise.all([
    (async () => {
      while (publisher.published < EVENTS) {
        await until(() => publisher.published < (broken + 2) * step || broken === plan.length, { what: 'the next break', ms: 60_000 });
        const size = Math.min(random.pick([1, 1, 2, 5, 20]), EVENTS - publisher.published);
        await publisher.publish(events(publisher.published + 1, publisher.published + size));
      }
    })(),
    (async () => {
      for (const [what, ...words] of plan) {
        await until(() => publisher.published >= (broken + 1) * step || publisher.published >= EVENTS, { what: 'the next events', ms: 60_000 });
        await breaks[what](...words);
        broken++;
      }
    })(),
  ]);
  await until(() => followers.every((f) => f.got.length >= EVENTS), { what: 'everybody to have everything', ms: 30_000 }).catch((error) => {
    throw new Error(`${error.message}: ${followers.map((f) => `${f.constructor.name} ${f.got.length} ${f.problems}`)}`);
  });
  w.note(`published again ${publisher.again} times; opened ${followers.map((f) => `${f.constructor.name} ${f.opened}`)}`);
  for (const follower of followers) {
    follower.over = true;
    assert.deepEqual(follower.problems, []);
    assert.deepEqual(follower.got, count(EVENTS));
    assert.ok(follower.opened > 1, 'it was never cut');
  }
}, { timeout: 150_000 });

// ---- the rest of what is promised

story('twenty streams of one browser on one connection, on both nodes, each with its own topic', async (w) => {
  const { nodes, nginx } = await front(w);
  const client = browser(w, nginx);
  const streams = count(20).map((n) => client.follow(`topic=t${n}&topic=all`));
  await Promise.all(streams.map((stream) => stream.open()));
  assert.equal(new Set(streams.map((stream) => stream.all[0].data.node)).size, 2, 'both nodes have some');
  for (const node of nodes) await node.metricReaches('weft_subscribers', 10);
  const api = w.client(nodes[0]);
  for (let n = 1; n <= 20; n++) await api.published(`t${n}`, event(n));
  await api.published('all', event(100));
  for (const [i, stream] of streams.entries()) {
    assert.deepEqual((await stream.take(2)).map((e) => e.payload.n), [i + 1, 100]);
  }
  // One of them goes: its node learns of it, and the others do not mind.
  streams[0].cut();
  await until(async () => (await nodes[0].metric('weft_subscribers')) + (await nodes[1].metric('weft_subscribers')) === 19, { what: 'one less' });
  client.cut();
  for (const node of nodes) await node.metricReaches('weft_subscribers', 0);
});

story('polls through it: at once, when an event comes, and when none does', async (w) => {
  const { nginx, nodes } = await front(w);
  const client = browser(w, nginx);
  const poll = (query) => client.get(`/api/events?topic=t&${query}`, { accept: 'application/json' });
  const total = 60;
  let { cursor } = (await poll('')).json;
  const empty = await poll(`lastEventId=${cursor}&wait_ms=200`);
  assert.deepEqual([empty.status, empty.json.events], [200, []]);
  const got = [];
  const publishing = (async () => {
    for (let n = 1; n <= total; n += 2) await w.client(nodes[n % 4 === 1 ? 0 : 1]).published('t', events(n, n + 1));
  })();
  publishing.catch(() => {}); // awaited below
  while (got.length < total) {
    const answer = await poll(`lastEventId=${cursor}&limit=7`);
    assert.equal(answer.status, 200, answer.text);
    got.push(...answer.json.events.map((e) => e.payload.n));
    cursor = answer.json.cursor;
  }
  await publishing;
  assert.deepEqual(got, count(total));
});

story('a node drains: its streams go to the other one', async (w) => {
  const { nodes, nginx } = await front(w, { set: { drain: { period_ms: 500 }, sse: { ...SOON.sse, moved_retry_ms: 50 } } });
  const followers = count(8).map(() => new ByEventSource(w, nginx));
  for (const follower of followers) follower.start();
  await until(() => followers.every((f) => f.opened === 1), { what: 'all to be there' });
  const before = await nodes[0].metric('weft_subscribers');
  assert.ok(before > 0);
  const client = browser(w, nginx);
  const publish = (n) => client.send('POST', '/api/topics/t/events', { headers: { 'content-type': 'application/json' }, body: JSON.stringify(event(n)) });
  let n = 0;
  let draining = true;
  const publishing = (async () => {
    while (draining) assert.equal((await publish(++n)).status, 201, 'every publish is served meanwhile');
  })();
  publishing.catch(() => {}); // awaited below
  const how = await nodes[0].stop();
  draining = false;
  await publishing;
  assert.deepEqual(how, { code: 0, signal: null });
  await nodes[1].metricReaches('weft_subscribers', 8);
  await publish(++n);
  await until(() => followers.every((f) => f.got.length >= n), { what: 'everybody to have everything' });
  for (const follower of followers) {
    assert.deepEqual(follower.problems, []);
    assert.deepEqual(follower.got, count(n));
  }
});

story('no node is there: a stream is told with 200 to come back, anything else gets a problem; then it goes on', async (w) => {
  const { nodes, nginx } = await front(w, { n: 1 });
  const follower = new ByEventSource(w, nginx);
  follower.start();
  await until(() => follower.opened === 1, { what: 'the stream' });
  const api = w.client(nodes[0]);
  await api.published('t', events(1, 5));
  await until(() => follower.got.length === 5, { what: 'five events' });
  await nodes[0].kill();
  const client = browser(w, nginx);
  const told = client.follow('topic=t', { headers: { origin: 'https://app.example' } });
  await deadline(told.closed, { what: 'the answer to end' });
  assert.equal(told.head.status, 200);
  assert.equal(told.head.headers['content-type'], 'text/event-stream');
  assert.equal(told.head.headers['access-control-allow-origin'], 'https://app.example');
  assert.ok(told.retry >= 2000 && told.retry <= 3500, `retry ${told.retry}`);
  assert.deepEqual(told.all, []);
  for (const [method, where] of [['GET', '/api/events?topic=t'], ['POST', '/api/topics/t/events'], ['GET', '/api/topics']]) {
    const answer = await client.send(method, where, { headers: { accept: 'application/json' } });
    assert.deepEqual([answer.status, answer.json?.error.code, answer.headers['retry-after']], [503, 'unavailable', '2']);
    assert.equal(answer.headers['content-type'], 'application/problem+json');
  }
  const sentAway = () => nginx.access().filter((line) => line.path === '/api/events' && line.status === 200 && line.node_status === '502');
  await until(() => sentAway().length >= 2, { what: 'the EventSource to be sent away as well' });
  nodes[0] = await w.node({ id: nodes[0].id, port: nodes[0].port, set: SOON });
  await w.client(nodes[0]).published('t', events(6, 10));
  await until(() => follower.got.length >= 10, { what: 'ten events', ms: 20_000 });
  assert.deepEqual(follower.got, count(10));
  assert.deepEqual(follower.problems, []);
});

story('a POST that a node may have done is not sent to the other; a GET is, and a POST that nobody has seen', async (w) => {
  const bad = [await hangsUp(w), await hangsUp(w)];
  const nginx = await behind(w, bad);
  const client = browser(w, nginx);
  const seen = () => bad.flatMap((b) => b.seen).sort();
  assert.equal((await client.send('POST', '/api/topics/t/events', { body: '{}' })).status, 503);
  assert.deepEqual(seen(), ['POST'], 'once');
  const [node] = await w.cluster(1, { node: { set: SOON } });
  await nginx.reload([node.port, ...bad.map((b) => b.port)]);
  const fresh = browser(w, nginx);
  for (let n = 0; n < 6; n++) assert.equal((await fresh.get('/api/topics')).status, 200);
  // Nobody listens there: what was not sent may go elsewhere.
  await nginx.reload([node.port, 1]);
  const again = browser(w, nginx);
  for (let n = 0; n < 4; n++) {
    const answer = await again.send('POST', '/api/topics/t/events', { headers: { 'content-type': 'application/json' }, body: JSON.stringify(event(n)) });
    assert.equal(answer.status, 201);
  }
  assert.equal((await w.store.ids('t')).length, 4);
});

story('a WebSocket passes through, both ways, and a request that asks for nothing of the kind is none', async (w) => {
  const echo = await upgrades(w);
  const nginx = await behind(w, [echo]);
  for (const where of ['/ws', '/api/ws?token=t']) assert.match(await echo.through(nginx, where), /^HTTP\/1.1 101/);
  assert.match(await echo.through(nginx, '/api/topics'), /^HTTP\/1.1 503/);
  assert.match(echo.heads[0], /^GET \/ws HTTP\/1.1\r\n[^]*upgrade: websocket\r\n/i);
  assert.match(echo.heads[0], /^connection: upgrade$/im);
  assert.match(echo.heads[0], /^sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==$/im);
  assert.match(echo.heads[1], /^GET \/api\/ws\?token=t HTTP/);
  assert.doesNotMatch(echo.heads[2], /^upgrade:/im);
});

story('nothing of a query is logged, also when things go wrong', async (w) => {
  const { nodes, nginx } = await front(w, { n: 1 });
  const client = browser(w, nginx);
  const secret = 'token=very-secret-7';
  const stream = client.follow(`topic=t&${secret}`, { headers: { referer: `https://app.example/?${secret}` } });
  await stream.answered();
  const good = client.follow('topic=t', { headers: { cookie: 'other=very-secret-8', authorization: 'Basic very-secret-9' } });
  await good.open();
  await nodes[0].kill();
  await deadline(good.closed, { what: 'the stream to end' });
  await client.get(`/api/topics?${secret}`);
  await client.get(`/api/events?topic=t&${secret}`);
  await nginx.logged((line) => line.path === '/api/topics' && line.status === 503, 'the last request');
  for (const text of [readFileSync(nginx.log, 'utf8'), nginx.program.output()]) assert.doesNotMatch(text, /secret|token/);
});

story('who is asked by which address: what a client claims does not count', async (w) => {
  const { nodes, nginx } = await front(w, { n: 1, set: { limits: { api_proxies: 1, api_per_s: 1, api_burst: 3 } } });
  const client = browser(w, nginx);
  const statuses = [];
  for (let n = 0; n < 8; n++) {
    statuses.push((await client.get('/api/topics', { 'x-forwarded-for': `10.0.0.${n}`, 'x-request-id': n === 0 ? 'mine-1' : 'not one\u00e9' })).status);
  }
  assert.ok(statuses.includes(429), `${statuses}`);
  const keys = await w.store.cmd('KEYS', '*weft.address:*');
  assert.ok(keys.length === 1 && keys[0].includes('weft.address:127.0.0.1'), `${keys}`);
  await nginx.logged((line) => line.request_id === 'mine-1', 'the name that the client gave');
  const names = nginx.access().map((line) => line.request_id);
  assert.ok(names.every((name) => name === 'mine-1' || /^[0-9a-f]{32}$/.test(name)), `${names}`);
  assert.equal((await fetch(`${nodes[0].origin}/metrics`)).status, 200);
  for (const inside of ['/metrics', '/readyz']) assert.equal((await client.get(inside)).status, 404, inside);
});

story('a body that is too long is refused as nodes refuse it; a long list of topics is not', async (w) => {
  const { nginx } = await front(w, { n: 1 });
  const client = browser(w, nginx);
  const answer = await client.send('POST', '/api/topics/t/events', { headers: { 'content-type': 'application/json' }, body: 'x'.repeat(1_048_577) }).catch((error) => error);
  assert.deepEqual([answer.status, answer.json?.error.code], [413, 'too_large']);
  const topics = (n) => count(n).map((i) => `topic=${String(i).padStart(200, 'x')}`).join('&');
  await browser(w, nginx).follow(topics(39)).open();
  const long = await browser(w, nginx).get(`/api/events?${topics(60)}`);
  assert.deepEqual([long.status, long.json?.error.field], [414, 'path']);
});

story('TLS: old versions are refused, and who comes back resumes its session', async (w) => {
  const { nginx } = await front(w, { n: 1 });
  const connect = (options) => new Promise((resolve, reject) => {
    const socket = tls.connect({ port: nginx.port, host: '127.0.0.1', ca: nginx.ca, ALPNProtocols: ['h2'], ...options });
    let session;
    socket.on('session', (data) => (session = data));
    socket.on('error', reject);
    socket.on('secureConnect', async () => {
      await until(() => session !== undefined || socket.isSessionReused(), { what: 'a session' });
      const told = { session, reused: socket.isSessionReused(), protocol: socket.getProtocol(), alpn: socket.alpnProtocol };
      socket.destroy();
      resolve(told);
    });
  });
  for (const version of ['TLSv1.2', 'TLSv1.3']) {
    const only = { minVersion: version, maxVersion: version };
    const first = await connect(only);
    assert.deepEqual([first.protocol, first.alpn, first.reused], [version, 'h2', false]);
    assert.equal((await connect({ ...only, session: first.session })).reused, true, version);
  }
  await assert.rejects(connect({ minVersion: 'TLSv1', maxVersion: 'TLSv1.1', ciphers: 'DEFAULT@SECLEVEL=0' }), /alert|version/i);
});

// ---- what docs/guards.md tells to write

// The blocks of a document that hold this word.
function block(file, word) {
  const found = [...readFileSync(path.join(ROOT, file), 'utf8').matchAll(/^```\w*\n([\s\S]*?)^```/gm)].map((m) => m[1]).filter((text) => text.includes(word));
  assert.equal(found.length, 1, `${file} has one block with ${word}`);
  return found[0];
}

story('auth_request, as docs/guards.md has it: a bucket decides what reaches the application', async (w) => {
  const nodes = await w.cluster(2);
  const api = w.client(nodes[0]);
  await api.send('PUT', '/api/limits/page', { body: JSON.stringify({ capacity: 3, refill_per_s: 0.001 }) });
  const recipe = block('docs/guards.md', 'auth_request /limit')
    .replace('http://weft:8080', 'http://weft').replace('http://app', 'http://127.0.0.1:${APP}');
  const seen = [];
  const app = net.createServer((socket) => {
    socket.on('error', () => {});
    socket.on('data', (data) => {
      seen.push(data.toString('latin1').split('\r\n')[0]);
      socket.end('HTTP/1.1 200 OK\r\nContent-Length: 5\r\nConnection: close\r\n\r\nhello');
    });
  });
  await new Promise((resolve) => app.listen(0, '127.0.0.1', resolve));
  w.atEnd(() => app.close());
  const door = path.join(w.folder, 'app.sock');
  const nginx = await behind(w, nodes, { more: `server { listen unix:${door}; ${recipe.replace('${APP}', app.address().port)} }` });
  const ask = async () => {
    const program = w.program('curl', ['-s', '-i', '--unix-socket', door, '-d', 'a=1', 'http://x/page?q=1']);
    await program.exited;
    return { status: Number(program.lines[0].text.split(' ')[1]), text: program.output('stdout') };
  };
  const answers = [];
  for (let n = 0; n < 5; n++) answers.push(await ask());
  assert.deepEqual(answers.map((a) => a.status), [200, 200, 200, 429, 429]);
  assert.match(answers[0].text, /hello$/);
  assert.match(answers[4].text, /^Retry-After: \d+$/m);
  assert.deepEqual(seen, Array(3).fill('POST /page?q=1 HTTP/1.0'), 'what was refused did not reach it');
  assert.equal((await api.get('/api/limits/page')).json.remaining, 0);
  // A bucket that does not exist, or no node that answers: it passes.
  await api.send('DELETE', '/api/limits/page');
  assert.equal((await ask()).status, 200);
  await Promise.all(nodes.map((node) => node.kill()));
  assert.equal((await ask()).status, 200);
  assert.equal(seen.length, 5);
});
