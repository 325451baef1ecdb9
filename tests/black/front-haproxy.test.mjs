// Behind HAProxy, as docker/haproxy configures it: what front.test.mjs asks of nginx, in short. Its health checks know which node
// drains, so new streams go to the others at once.
import assert from 'node:assert/strict';
import { story } from './lib/story.mjs';
import { browser, ByCurl, ByEventSource, ByHttp2, curl, hangsUp, Publisher, upgrades } from './lib/front.mjs';
import { Haproxy } from './lib/haproxy.mjs';
import { event, events } from './lib/http.mjs';
import { selfMade } from './lib/nginx.mjs';
import { deadline, until } from './lib/wait.mjs';

const EVENTS = 300;
const SOON = { sse: { retry_ms: 50, retry_jitter_ms: 50, moved_retry_ms: 50 }, limits: { api_proxies: 1 } };
const count = (n) => Array.from({ length: n }, (_, i) => i + 1);

async function behind(w, nodes) {
  const front = new Haproxy(w.folder, await selfMade(w.folder), nodes.map((node) => node.port));
  w.atEnd(() => front.stop());
  await front.start();
  return front;
}

async function front(w, { n = 2, set = {} } = {}) {
  const nodes = await w.cluster(n, { node: { set: { ...SOON, ...set } } });
  return { nodes, proxy: await behind(w, nodes) };
}

story('each event is there before the next one is published, over HTTP/2 and HTTP/1.1; polls', async (w) => {
  const { nodes, proxy } = await front(w);
  const api = w.client(nodes[0]);
  const client = browser(w, proxy);
  const stream = client.follow('topic=t');
  await stream.open();
  const program = curl(w, proxy, ['--http1.1', `${proxy.origin}/api/events?topic=t`, '-H', 'accept: text/event-stream']);
  await program.line((text) => text === 'event: weft.open', { what: 'weft.open' });
  for (let n = 1; n <= 20; n++) {
    const [id] = await api.published('t', event(n));
    assert.equal((await stream.take(n)).at(-1).id, id);
    await program.line((text) => text === `id: ${id}`, { what: `event ${n}` });
  }
  const polled = [];
  for (let after = 'since=earliest'; polled.length < 20;) {
    const { json } = await client.get(`/api/events?topic=t&${after}`, { accept: 'application/json' });
    polled.push(...json.events.map((e) => e.payload.n));
    after = `lastEventId=${json.cursor}`;
  }
  assert.deepEqual(polled, count(20));
  client.cut();
  await program.kill();
  for (const node of nodes) await node.metricReaches('weft_subscribers', 0);
});

story(`${EVENTS} events: nodes killed and drained, connections cut; nothing lost, nothing repeated`, async (w) => {
  const { nodes, proxy } = await front(w, { set: { drain: { period_ms: 300, grace_ms: 500 } } });
  const followers = [ByEventSource, ByHttp2, ByCurl].map((Way) => new Way(w, proxy));
  w.atEnd(() => {
    for (const follower of followers) follower.over = true;
  });
  for (const follower of followers) follower.start();
  await until(() => followers.every((f) => f.opened === 1), { what: 'all to be there' });
  const again = async (which) => {
    nodes[which] = await w.node({ id: nodes[which].id, port: nodes[which].port, set: { ...SOON, drain: { period_ms: 300, grace_ms: 500 } } });
  };
  const breaks = [
    async () => { await nodes[0].kill(); await again(0); },
    () => followers.forEach((f) => f.cut()),
    async () => { await nodes[1].kill(); await again(1); },
    async () => { assert.equal((await nodes[0].stop()).code, 0); await again(0); },
    () => followers.forEach((f) => f.cut()),
  ];
  const publisher = new Publisher(w, proxy);
  const step = EVENTS / (breaks.length + 1);
  for (const broken of [...breaks, () => {}]) {
    const upTo = publisher.published + step;
    const publishing = (async () => {
      while (publisher.published < upTo) await publisher.publish(events(publisher.published + 1, publisher.published + 5));
    })();
    await Promise.all([publishing, broken()]);
  }
  await until(() => followers.every((f) => f.got.length >= EVENTS), { what: 'everybody to have everything', ms: 30_000 });
  for (const follower of followers) {
    follower.over = true;
    assert.deepEqual(follower.problems, []);
    assert.deepEqual(follower.got, count(EVENTS));
    assert.ok(follower.opened > 1, 'it was never cut');
  }
}, { timeout: 120_000 });

story('no node is there: a stream is told with 200 to come back, anything else gets a problem; no query is logged', async (w) => {
  const { nodes, proxy } = await front(w, { n: 1 });
  await nodes[0].kill();
  const client = browser(w, proxy);
  const told = client.follow('topic=t&token=very-secret-7', { headers: { origin: 'https://app.example' } });
  await deadline(told.closed, { what: 'the answer to end' });
  assert.equal(told.head.status, 200);
  assert.equal(told.head.headers['content-type'], 'text/event-stream');
  assert.equal(told.head.headers['access-control-allow-origin'], 'https://app.example');
  assert.ok(told.retry >= 2000 && told.retry < 3500, `retry ${told.retry}`);
  const answer = await client.send('POST', '/api/topics/t/events', { body: '{}' });
  assert.deepEqual([answer.status, answer.json?.error.code, answer.headers['retry-after']], [503, 'unavailable', '2']);
  for (const inside of ['/metrics', '/readyz']) assert.equal((await client.get(inside)).status, 404, inside);
  const line = await until(() => proxy.access().find((l) => l.path === '/api/topics/t/events'), { what: 'its access log' });
  assert.deepEqual([line.status, line.method], [503, 'POST']);
  assert.doesNotMatch(proxy.program.output(), /secret|token/);
});

story('a POST that a node may have done is not sent to another; a WebSocket passes through', async (w) => {
  const bad = await hangsUp(w);
  const proxy = await behind(w, [bad, bad]);
  const answer = await browser(w, proxy).send('POST', '/api/topics/t/events', { body: '{}' }).catch((error) => error);
  // What HAProxy 2.6 says of it over HTTP/2 is not right, see docs/proxies.md; what it does is.
  assert.ok(answer.status >= 502 || /REFUSED_STREAM/.test(answer.message), `${answer.status} ${answer.message}`);
  const posts = bad.seen.filter((method) => method === 'POST').length;
  w.note(`${posts} POSTs, ${answer.status ?? answer.message}`);
  assert.ok(posts <= 1, `${posts} POSTs`); // none, if they were found dead before
  const echo = await upgrades(w);
  const other = await behind(w, [echo]);
  assert.match(await echo.through(other, '/ws'), /^HTTP\/1.1 101/);
  assert.match(echo.heads.find((head) => /^GET \/ws/.test(head)), /^upgrade: websocket/im);
});
