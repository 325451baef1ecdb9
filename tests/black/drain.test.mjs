// A node is taken away in order. SIGTERM: it is not ready at once but serves on; its streams are told one after another to go on
// elsewhere, each with a retry of its own, and nothing is lost on the way. Nobody can hold it beyond its deadline, and who is in
// a hurry signals twice. Streams may also be given a life of their own, after which they move in the same way.
import assert from 'node:assert/strict';
import { story } from './lib/story.mjs';
import { events, RawHttp } from './lib/http.mjs';
import { bin, cleanEnv } from './lib/node.mjs';
import { run } from './lib/process.mjs';
import { deadline, SLOW, sleep, until } from './lib/wait.mjs';

const CLEAN = { code: 0, signal: null };
// So long that a story sees the middle of the drain; it ends by itself only where a story waits for that.
const LONG = { period_ms: 600_000 };

function drainOf(set) {
  return { node: { set: { drain: set } } };
}

async function followers(w, node, n, query = 'topic=t') {
  return Promise.all(Array.from({ length: n }, () => w.follow(node, query)));
}

function moved(stream) {
  return stream.control('weft.moved')[0]?.data;
}

async function startDrain(node) {
  node.program.signal('SIGTERM');
  return node.logged('node.draining');
}

story('SIGTERM: not ready, but serving; each stream is told where it is and when to come back', async (w) => {
  const [node] = await w.cluster(1, drainOf(LONG));
  const api = w.client(node);
  const streams = await followers(w, node, 20);
  const order = [];
  for (const [i, stream] of streams.entries()) stream.closed.then(() => order.push(i));
  const log = await startDrain(node);
  assert.equal(log.subscribers, 20);
  const ready = await api.get('/readyz');
  assert.deepEqual([ready.status, ready.json], [503, { status: 'not_ready', reasons: ['draining'] }]);
  assert.equal((await api.get('/healthz')).status, 200);
  assert.ok(order.length < 20, 'streams live on while it is not ready');
  const answer = await api.publish('t', events(1, 3));
  assert.equal(answer.status, 201);
  assert.equal(answer.headers.connection, 'close'); // its next request may go to another node
  node.program.signal('SIGTERM'); // all has been asked
  assert.deepEqual(await node.program.exited, CLEAN);
  for (const stream of streams) {
    await deadline(stream.closed, { what: 'the stream to end' });
    assert.ok(stream.complete, 'the last chunk was sent');
    assert.deepEqual(moved(stream), { reason: 'draining', retry_ms: stream.retry });
    assert.equal(stream.all.at(-1).type, 'weft.moved', 'nothing follows it');
    assert.equal(stream.all.at(-1).id, undefined, 'it does not touch the last id');
    assert.ok(stream.retry >= 2000 && stream.retry <= 3000, `retry ${stream.retry}`);
  }
  assert.ok(new Set(streams.map((s) => s.retry)).size > 5, 'retries differ');
  const got = streams.map((s) => s.events.length);
  assert.ok(got.every((n) => n === 0 || n === 3), `all of a publish, or none: ${got}`);
});

story('streams go one after another, not together', async (w) => {
  const [node] = await w.cluster(1, drainOf({ period_ms: 3000 * SLOW }));
  const streams = await followers(w, node, 30);
  const left = new Set();
  node.program.signal('SIGTERM');
  await until(async () => {
    const now = await node.metric('weft_drain_left').catch(() => undefined);
    if (now > 0) left.add(now);
    return !node.running;
  }, { what: 'the node to end', every: 20 });
  assert.ok(left.size >= 5, `it was seen with ${[...left]} left`);
  assert.equal((await node.logged('node.drained')).left, 0);
  for (const stream of streams) {
    await deadline(stream.closed, { what: 'the stream to end' });
    assert.ok(stream.retry >= 250 && stream.retry <= 375, `retry ${stream.retry}`);
  }
});

story('drain.max_per_s makes the period longer', async (w) => {
  const [node] = await w.cluster(1, drainOf({ period_ms: 100, max_per_s: 10, period_max_ms: 600_000 }));
  await followers(w, node, 20);
  assert.equal((await startDrain(node)).period_ms, 2000);
  assert.deepEqual(await node.program.exited, CLEAN);
});

story('a new stream is told to go elsewhere, with 200; a poll is served', async (w) => {
  const [node] = await w.cluster(1, drainOf(LONG));
  const api = w.client(node);
  const [stream] = await followers(w, node, 1);
  await startDrain(node);
  for (const [query, type] of [['topic=t', 'weft.moved'], ['topic=t&named=0', 'message']]) {
    const fresh = w.stream(node, query);
    await fresh.answered();
    assert.equal(fresh.head.status, 200);
    assert.match(fresh.head.headers['content-type'], /^text\/event-stream/);
    await deadline(fresh.closed, { what: 'the answer to end' });
    assert.deepEqual(fresh.all.map((e) => e.type), [type]);
    assert.deepEqual(fresh.all[0].data, { reason: 'draining', retry_ms: fresh.retry });
    assert.ok(fresh.retry >= 2000 && fresh.retry <= 3000, `retry ${fresh.retry}`);
  }
  assert.equal((await api.get('/api/events')).status, 400, 'what is wrong is still wrong');
  const [id] = await api.published('t', events(1, 1));
  const poll = await api.poll('topic=t&since=earliest');
  assert.deepEqual(poll.json.events.map((e) => e.id), [id]);
  assert.equal((await stream.take(1))[0].id, id, 'the old stream lives');
  const waiting = api.poll(`topic=t&lastEventId=${id}`);
  await node.metricReaches('weft_subscribers', 2);
  node.program.signal('SIGTERM');
  assert.deepEqual((await waiting).json, { events: [], cursor: id, gaps: [] });
});

story('streams without names or chunks are told as well', async (w) => {
  const [node] = await w.cluster();
  const nameless = await w.follow(node, 'topic=t&named=0');
  const old = await w.follow(node, 'topic=t', { http: '1.0' });
  const both = await w.follow(node, 'topic=t&named=0', { http: '1.0' });
  assert.deepEqual(await node.stop(), CLEAN);
  for (const stream of [nameless, old, both]) {
    await deadline(stream.closed, { what: 'the stream to end' });
    assert.deepEqual(stream.all.at(-1).data, { reason: 'draining', retry_ms: stream.retry });
    assert.equal(stream.all.at(-1).type, stream === old ? 'weft.moved' : 'message');
  }
  assert.ok(nameless.complete);
});

story('a second signal ends it at once: every stream is told, and the code is 0', async (w) => {
  for (const second of ['SIGTERM', 'SIGINT']) {
    const [node] = await w.cluster(1, drainOf(LONG));
    const streams = await followers(w, node, 5);
    await startDrain(node);
    node.program.signal(second);
    assert.deepEqual(await deadline(node.program.exited, { what: 'the node to end' }), CLEAN);
    for (const stream of streams) {
      await deadline(stream.closed, { what: 'the stream to end' });
      assert.ok(stream.complete);
      assert.equal(moved(stream).reason, 'draining');
      assert.ok(stream.retry >= 2000, `retry ${stream.retry}`);
    }
  }
});

story('SIGINT, of a person: short, whatever the period', async (w) => {
  const [node] = await w.cluster(1, drainOf({ ...LONG, grace_ms: 600_000 }));
  const streams = await followers(w, node, 5);
  assert.deepEqual(await node.stop({ signal: 'SIGINT' }), CLEAN);
  for (const stream of streams) {
    await deadline(stream.closed, { what: 'the stream to end' });
    assert.equal(moved(stream).reason, 'draining');
  }
});

story('nobody is subscribed: the node ends at once', async (w) => {
  const [node] = await w.cluster(1, drainOf(LONG));
  assert.deepEqual(await node.stop(), CLEAN);
});

story('grace: not ready, and all is served as before, new streams too, until balancers have noticed', async (w) => {
  const [node] = await w.cluster(1, drainOf({ period_ms: 300, grace_ms: 600_000 }));
  const api = w.client(node);
  node.program.signal('SIGTERM');
  await until(async () => (await api.get('/readyz')).status === 503, { what: 'readyz to say 503' });
  const stream = await w.follow(node, 'topic=t');
  const [id] = await api.published('t', events(1, 1));
  assert.equal((await stream.take(1))[0].id, id);
  node.program.signal('SIGTERM');
  assert.deepEqual(await deadline(node.program.exited, { what: 'the node to end' }), CLEAN);
  await deadline(stream.closed, { what: 'the stream to end' });
  assert.equal(moved(stream).reason, 'draining');
});

story('grace comes to an end, and the drain begins', async (w) => {
  const [node] = await w.cluster(1, drainOf({ period_ms: 300, grace_ms: 300 }));
  const [stream] = await followers(w, node, 1);
  assert.deepEqual(await node.stop(), CLEAN);
  await deadline(stream.closed, { what: 'the stream to end' });
  assert.equal(moved(stream).reason, 'draining');
});

story('a reader that does not read holds nothing up beyond the deadline', async (w) => {
  const [node] = await w.cluster(1, { node: { set: { drain: { period_ms: 2000 }, history: { max_events: 0 } } } });
  const api = w.client(node);
  const stalled = await w.follow(node, 'topic=t');
  const good = await w.follow(node, 'topic=t');
  stalled.pause();
  const text = 'x'.repeat(200_000);
  for (let n = 1; n <= 60; n++) await api.published('t', { type: 'big', payload: { n, text } });
  await good.take(60);
  assert.deepEqual(await node.stop(), CLEAN);
  assert.equal((await node.logged('node.drained')).left, 1);
  await deadline(good.closed, { what: 'the good stream to end' });
  assert.equal(moved(good).reason, 'draining');
  stalled.resume();
  await deadline(stalled.closed, { what: 'the stalled stream to end' });
  assert.equal(moved(stalled), undefined);
});

story('a reader that is slow gets what was begun, then weft.moved', async (w) => {
  const [node] = await w.cluster(1, { node: { set: { drain: { period_ms: 5000 }, history: { max_events: 0 } } } });
  const api = w.client(node);
  const slow = await w.follow(node, 'topic=t');
  const good = await w.follow(node, 'topic=t');
  slow.pause();
  const text = 'x'.repeat(200_000);
  for (let n = 1; n <= 60; n++) await api.published('t', { type: 'big', payload: { n, text } });
  await good.take(60);
  node.program.signal('SIGTERM');
  await deadline(good.closed, { what: 'the good stream to end' });
  await node.metricReaches('weft_drain_left', (n) => n <= 1);
  slow.resume();
  await deadline(slow.closed, { what: 'the slow stream to end' });
  assert.equal(slow.all.at(-1).type, 'weft.moved');
  assert.ok(slow.complete);
  const n = slow.events.map((e) => e.payload.n);
  assert.deepEqual(n, Array.from({ length: n.length }, (_, i) => i + 1));
  assert.deepEqual(await node.program.exited, CLEAN);
});

// A client as they are: comes back after its retry, to the next node, with its last id.
class Traveller {
  constructor(w, nodes) {
    Object.assign(this, { w, nodes, at: 0, got: [], gaps: 0, moves: 0, cursor: undefined });
  }

  async start() {
    await this.#connect();
    return this;
  }

  async #connect() {
    const stream = this.w.stream(this.nodes[this.at], 'topic=t', {
      lastEventId: this.cursor,
      onEvent: (entry, control) => {
        if (entry.id !== undefined) this.cursor = entry.id;
        if (!control) this.got.push(entry.data.payload.n);
        else if (entry.type === 'weft.gap') this.gaps++;
      },
    });
    this.stream = stream;
    await stream.open();
    stream.closed.then(() => this.#again(stream)).catch((error) => {
      this.error = error;
    });
  }

  async #again(stream) {
    if (this.over) return;
    assert.ok(stream.complete, 'cut without a word');
    assert.equal(moved(stream).reason, 'draining');
    this.moves++;
    this.at = (this.at + 1) % this.nodes.length;
    await sleep(stream.retry);
    await this.#connect();
  }
}

story('under load: every client goes on at the other node, and loses nothing', async (w) => {
  const nodes = await w.cluster(2, { node: { set: { drain: { period_ms: 1500 }, history: { max_events: 0 } } } });
  const api = w.client(nodes[1]);
  const travellers = await Promise.all(Array.from({ length: 40 }, () => new Traveller(w, nodes).start()));
  let published = 0;
  let ending = false;
  const publishing = (async () => {
    while (!ending) await api.published('t', events(published + 1, (published += 5)));
  })();
  assert.deepEqual(await nodes[0].stop(), CLEAN);
  await until(() => {
    for (const t of travellers) if (t.error) throw t.error;
    return travellers.every((t) => t.at === 1 && t.stream.all.length > 0);
  }, { what: 'all to be back' });
  ending = true;
  await publishing;
  await until(() => travellers.every((t) => t.got.length >= published), { what: 'everybody to have everything' });
  for (const t of travellers) {
    t.over = true;
    assert.deepEqual([t.moves, t.gaps], [1, 0]);
    assert.deepEqual(t.got, Array.from({ length: published }, (_, i) => i + 1));
  }
  w.note(`${published} events meanwhile`);
});

story('weft tail goes on at the other node', async (w) => {
  const nodes = await w.cluster(2);
  const api = w.client(nodes[1]);
  const program = w.program(bin('weft'), ['tail', 't', '--since', 'earliest', '--control'], {
    env: cleanEnv({ WEFT_URL: `${nodes[0].origin},${nodes[1].origin}` }),
  });
  const printed = () => program.lines.filter((line) => line.stream === 'stdout').map((line) => JSON.parse(line.text));
  const counted = () => printed().filter((e) => e.type === 'test.counted').map((e) => e.payload.n);
  const prints = (n) => program.line(() => counted().length >= n, { what: `${n} events` });
  await api.published('t', events(1, 10));
  await prints(10);
  const stopped = nodes[0].stop();
  await program.line((text) => text.includes('"weft.moved"'), { what: 'weft.moved' });
  await api.published('t', events(11, 20));
  await prints(20);
  assert.deepEqual(counted(), Array.from({ length: 20 }, (_, i) => i + 1));
  assert.match(program.output('stderr'), /sends its clients elsewhere \(draining\)/);
  assert.deepEqual(await stopped, CLEAN);
}, { needs: ['weftd', 'weft'] });

story('a rolling restart of three nodes under publishing: nothing lost, repeated or out of order', async () => {
  const how = await run(bin('weft-bench'), ['roll', '--subscribers', '150', '--period', '1', '--rate', '200', '--json'], { env: cleanEnv(), ms: 60_000 });
  assert.equal(how.code, 0, how.stdout + how.stderr);
  const { lost, repeated, out_of_order: unordered, gaps, moved: told } = JSON.parse(how.stdout);
  assert.deepEqual({ lost, repeated, unordered, gaps }, { lost: 0, repeated: 0, unordered: 0, gaps: 0 });
  assert.ok(told >= 150, `${told} streams were moved`);
}, { needs: ['weftd', 'weft-bench'] });

story('sse.max_lifetime_ms: each stream moves in its time, and goes on without a seam', async (w) => {
  const [node] = await w.cluster(1, { node: { set: { sse: { max_lifetime_ms: 3000 * SLOW, moved_retry_ms: 20 } } } });
  const api = w.client(node);
  // Each has its three as soon as it begins, whenever the others do.
  await api.published('t', events(1, 3));
  const streams = await followers(w, node, 8, 'topic=t&since=earliest');
  for (const stream of streams) {
    await deadline(stream.closed, { what: 'the stream to end' });
    assert.ok(stream.complete);
    assert.deepEqual(moved(stream), { reason: 'lifetime', retry_ms: stream.retry });
    assert.equal(stream.events.length, 3);
  }
  assert.equal(await node.metric('weft_streams_moved_total'), 8);
  const more = await api.published('t', events(4, 6));
  const again = await w.follow(node, 'topic=t', { lastEventId: streams[0].lastId });
  assert.deepEqual((await again.take(3)).map((e) => e.id), more);
});

story('who comes while the node stops is told so at once, and does not hold it up', async (w) => {
  const [node] = await w.cluster(1, { node: { env: { WEFT_WORKERS: '1' }, set: { drain: { grace_ms: 600_000 }, redis: { command_timeout_ms: 60_000 } } } });
  const [holder, poll, stream] = await Promise.all([1, 2, 3].map(async () => {
    const raw = new RawHttp(node.port);
    await raw.write('GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n');
    assert.equal((await raw.response()).status, 200);
    return raw;
  }));
  // A publish that is not answered holds the end up, so that there is somebody to come to.
  w.store.program.signal('SIGSTOP');
  await holder.write('POST /api/topics/t/events HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 14\r\n\r\n{"type":"a.b"}');
  await node.metricReaches('weft_publish_requests_total', 1);
  node.program.signal('SIGTERM');
  await until(async () => (await fetch(`${node.origin}/readyz`)).status === 503, { what: 'readyz to say 503' });
  node.program.signal('SIGTERM'); // somebody is in a hurry: there is no drain
  await until(() => fetch(`${node.origin}/healthz`).then(() => false, () => true), { what: 'the listener to be closed', every: 10 });
  await Promise.all([
    poll.write('GET /api/events?topic=t&since=earliest HTTP/1.1\r\nHost: x\r\nAccept: application/json\r\n\r\n'),
    stream.write('GET /api/events?topic=t HTTP/1.1\r\nHost: x\r\nAccept: text/event-stream\r\n\r\n'),
  ]);
  const polled = await poll.response();
  assert.ok(polled, 'the poll is answered');
  assert.deepEqual([polled.status, JSON.parse(polled.body).error.code], [503, 'unavailable']);
  assert.ok(Number(polled.headers['retry-after']) >= 1);
  const told = await stream.response();
  assert.equal(told.status, 200);
  assert.match(told.body, /^retry: \d+\nevent: weft\.moved\ndata: \{"reason":"draining"/);
  w.store.program.signal('SIGCONT');
  assert.deepEqual(await node.program.exited, CLEAN);
});
