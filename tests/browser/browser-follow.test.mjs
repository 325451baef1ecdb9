// A real browser follows. Its EventSource, and a WebSocket of its page, have everything once and in order, whatever happens to its node: killed behind nginx (HTTP/2,
// TLS), restarted without a proxy, cut. Ten streams at once take one connection; other origins need http.cors_origins.
import assert from 'node:assert/strict';
import http from 'node:http';
import { story } from '../black/lib/story.mjs';
import { follow, followBySocket, followers, openPage, reach, startBrowser } from '../black/lib/browser.mjs';
import { events } from '../black/lib/http.mjs';
import { Nginx, selfMade } from '../black/lib/nginx.mjs';
import { Switch } from '../black/lib/switch.mjs';
import { QUICK } from '../black/lib/wait.mjs';

const EVENTS = QUICK ? 300 : 1000;
const SOON = { sse: { retry_ms: 50, retry_jitter_ms: 50 } };
const count = (n) => Array.from({ length: n }, (_, i) => i + 1);

async function front(w) {
  const nodes = await w.cluster(2, { node: { set: SOON } });
  const nginx = new Nginx(w.folder, await selfMade(w.folder), nodes.map((node) => node.port));
  w.atEnd(() => nginx.stop());
  await nginx.start();
  return { nodes, nginx, context: await startBrowser(w, { cert: nginx.pair.cert }) };
}

async function again(w, nodes, which) {
  const old = nodes[which];
  await old.kill();
  nodes[which] = await w.node({ id: old.id, port: old.port, set: SOON });
}

// Bursts of events through whichever node lives.
async function burst(w, node, from, to) {
  const api = w.client(node);
  for (let n = from; n <= to; n += 25) await api.published('t', events(n, Math.min(n + 24, to)));
}

story(`behind nginx, over HTTP/2: ${EVENTS} events, its node is killed again and again`, async (w) => {
  const { nodes, nginx, context } = await front(w);
  const page = await openPage(context, nginx.origin);
  assert.equal(await page.evaluate(() => performance.getEntriesByType('navigation')[0].nextHopProtocol), 'h2');
  await follow(page, '/api/events?topic=t');
  await reach(page, {});
  const rounds = 5;
  let published = 0;
  for (let round = 1; round <= rounds; round++) {
    const until = Math.floor((EVENTS * round) / rounds);
    const at = (await followers(page))[0].nodes.at(-1);
    const [its, other] = nodes[0].id === at ? [0, 1] : [1, 0];
    // Some come before, some while it is away, some after.
    const half = Math.floor((published + until) / 2);
    await burst(w, nodes[its], published + 1, half);
    await Promise.all([again(w, nodes, its), burst(w, nodes[other], half + 1, until)]);
    published = until;
    await reach(page, { opened: round + 1, got: published });
  }
  const [follower] = await followers(page);
  assert.deepEqual(follower.got, count(EVENTS));
  assert.deepEqual([follower.gaps, follower.state], [0, 1]);
  w.note(`opened on ${follower.nodes.join(' ')}`);
});

story('nginx is reloaded under it, and then nobody is there: it comes back by itself', async (w) => {
  const { nodes, nginx, context } = await front(w);
  const page = await openPage(context, nginx.origin);
  await follow(page, '/api/events?topic=t');
  await reach(page, {});
  await burst(w, nodes[0], 1, 50);
  await nginx.reload(); // worker_shutdown_timeout ends its stream
  await reach(page, { opened: 2, got: 50 });
  await Promise.all(nodes.map((node) => node.kill()));
  // It is told to come back, with 200: on a 502 it would give up.
  await page.waitForFunction(() => performance.getEntriesByType('resource').filter((e) => e.name.includes('/api/events')).length >= 3, undefined, { polling: 20 });
  nodes[0] = await w.node({ id: 'a', port: nodes[0].port, set: SOON });
  await burst(w, nodes[0], 51, 100);
  await reach(page, { opened: 3, got: 100 });
  const [follower] = await followers(page);
  assert.deepEqual(follower.got, count(100));
  assert.deepEqual([follower.gaps, follower.state], [0, 1]);
});

story('ten EventSources at once, on one connection, each with everything', async (w) => {
  const { nodes, nginx, context } = await front(w);
  const page = await openPage(context, nginx.origin);
  for (let n = 0; n < 10; n++) await follow(page, `/api/events?topic=t&topic=own${n}`);
  await reach(page, {});
  await burst(w, nodes[0], 1, 100);
  await reach(page, { got: 100 });
  await again(w, nodes, 0);
  await burst(w, nodes[0], 101, 200);
  await reach(page, { got: 200 });
  const all = await followers(page);
  for (const follower of all) assert.deepEqual([follower.got, follower.gaps], [count(200), 0]);
  assert.equal(new Set(all.flatMap((f) => f.nodes)).size, 2);
});

story(`without a proxy: ${EVENTS} events, the node restarts and connections are cut`, async (w) => {
  const nodes = await w.cluster(1, { node: { set: SOON } });
  const cable = await new Switch().start(nodes[0].port);
  w.atEnd(() => cable.stop());
  const context = await startBrowser(w);
  const page = await openPage(context, `http://127.0.0.1:${cable.port}`);
  await follow(page, '/api/events?topic=t');
  await reach(page, {});
  const breaks = [
    () => cable.to(nodes[0].port),
    () => again(w, nodes, 0),
    async () => {
      assert.equal((await nodes[0].stop()).code, 0);
      nodes[0] = await w.node({ id: 'a', port: nodes[0].port, set: SOON });
    },
    () => cable.to(nodes[0].port),
  ];
  let published = 0;
  for (const [i, broken] of breaks.entries()) {
    const until = Math.floor((EVENTS * (i + 1)) / breaks.length);
    const half = Math.floor((published + until) / 2);
    await burst(w, nodes[0], published + 1, half);
    await broken();
    await burst(w, nodes[0], half + 1, until);
    published = until;
    await reach(page, { opened: i + 2, got: published });
  }
  const [follower] = await followers(page);
  assert.deepEqual(follower.got, count(EVENTS));
  assert.deepEqual([follower.gaps, follower.state], [0, 1]);
});

story('a WebSocket of the page, behind nginx and without: its node is killed, it goes on', async (w) => {
  const { nodes, nginx, context } = await front(w);
  const pages = [await openPage(context, nginx.origin), await openPage(context, nodes[0].origin)];
  for (const page of pages) await followBySocket(page, 't');
  for (const page of pages) await reach(page, {});
  let published = 0;
  for (const which of [0, 1, 0]) {
    await burst(w, nodes[which], published + 1, published + 50);
    await Promise.all([again(w, nodes, which), burst(w, nodes[1 - which], published + 51, published + 100)]);
    published += 100;
    for (const page of pages) await reach(page, { got: published });
  }
  for (const page of pages) {
    const [follower] = await followers(page);
    assert.deepEqual(follower.got, count(published));
    assert.deepEqual([follower.gaps, follower.errors, follower.state], [0, 0, 1]);
    assert.ok(follower.nodes.length > 1, `${follower.nodes}`);
  }
});

// A page of another origin.
async function elsewhere(w) {
  const server = http.createServer((_, res) => res.setHeader('content-type', 'text/html').end('<!doctype html><link rel=icon href=data:,><title>x</title>'));
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
  w.atEnd(() => {
    server.closeAllConnections();
    server.close();
  });
  return `http://127.0.0.1:${server.address().port}`;
}

// Runs in the page: what a page does that follows and publishes.
async function attempt(origin) {
  const answer = {};
  const source = new EventSource(`${origin}/api/events?topic=t`);
  answer.stream = await new Promise((resolve) => {
    source.addEventListener('weft.open', () => resolve('open'));
    source.onerror = () => resolve(source.readyState === EventSource.CLOSED ? 'refused' : 'broken');
  });
  try {
    const done = await fetch(`${origin}/api/topics/t/events`, {
      method: 'POST', headers: { 'content-type': 'application/json', 'idempotency-key': 'k' }, body: '{"type":"test.counted","payload":{"n":1}}',
    });
    answer.publish = done.status;
  } catch (error) {
    answer.publish = error.name;
  }
  source.close();
  const socket = new WebSocket(`${origin.replace('http', 'ws')}/ws`, ['weft.v1']);
  answer.socket = await new Promise((resolve) => {
    socket.onopen = () => resolve('open');
    socket.onerror = () => resolve('refused');
  });
  socket.close();
  return answer;
}

story('a page of another origin: refused, unless http.cors_origins names it', async (w) => {
  const [friend, stranger] = [await elsewhere(w), await elsewhere(w)];
  const [closed] = await w.cluster();
  const open = await w.node({ set: { http: { cors_origins: friend } } });
  const context = await startBrowser(w);
  const page = async (origin) => openPage(context, origin, { at: '/' });
  const [ours, theirs] = [await page(friend), await page(stranger)];
  assert.deepEqual(await ours.evaluate(attempt, closed.origin), { stream: 'refused', publish: 'TypeError', socket: 'refused' });
  assert.deepEqual(await theirs.evaluate(attempt, open.origin), { stream: 'refused', publish: 'TypeError', socket: 'refused' });
  assert.deepEqual(await w.store.cmd('KEYS', '*:log:t'), [], 'a refused page has published nothing');
  assert.deepEqual(await ours.evaluate(attempt, open.origin), { stream: 'open', publish: 201, socket: 'open' });
  assert.equal((await w.store.ids('t')).length, 1);
});
