// The seam. A client resumes while a publisher runs at full speed, so that the end of the log is moving under it: the
// place where reading the log turns into live delivery must neither lose nor repeat an event. Fifty times, on both nodes.
import assert from 'node:assert/strict';
import { story } from './lib/story.mjs';
import { events } from './lib/http.mjs';
import { QUICK } from './lib/wait.mjs';

const TIMES = QUICK ? 20 : 50;
// Every cursor is still in the log at the end, so that each resume is judged.
const UNTRIMMED = { max_events: 0 };

for (const [title, set] of [
  ['with rings and cache', { history: UNTRIMMED }],
  ['from the log alone', { history: UNTRIMMED, ring: { events: 1 }, replay: { cache_bytes: 0 } }],
]) {
  story(`${TIMES} resumes into a running publisher, ${title}`, async (w) => {
    const random = w.random();
    const nodes = await w.cluster(2, { node: { set } });
    const clients = nodes.map((node) => w.client(node));
    const ids = await clients[0].published('t', events(1, 50));
    let n = 51;
    let go = true;
    // Two publishers: one in step, one in batches.
    const publishing = Promise.all(
      [1, 20].map(async (size, i) => {
        while (go) {
          const from = n;
          n += size;
          await clients[i].published('t', events(from, from + size - 1));
        }
      }),
    );
    publishing.catch(() => {}); // awaited below
    const last = [];
    try {
      for (let turn = 0; turn < TIMES; turn++) {
        const held = await w.store.cmd('XREVRANGE', 'weft:{0}:log:t', '+', '-', 'COUNT', String(random.between(1, 300)));
        const cursor = random.chance(0.2) ? ids[random.below(50)] : held.at(-1)[0];
        const stream = await w.follow(nodes[turn % 2], 'topic=t', { lastEventId: cursor });
        const enough = random.between(20, 600);
        await stream.take(enough);
        stream.cut();
        const got = stream.events.map((e) => e.id);
        last.push({ turn, cursor, got, gaps: stream.control('weft.gap').length });
      }
    } finally {
      go = false;
      await publishing;
    }
    // The log is the truth: each stream has to be a run of it, right after its cursor.
    const log = await w.store.ids('t');
    const at = new Map(log.map((id, i) => [id, i]));
    for (const { turn, cursor, got, gaps } of last) {
      assert.ok(at.has(cursor), `resume ${turn}: its cursor is in the log`);
      const from = at.get(cursor) + 1;
      assert.deepEqual(got, log.slice(from, from + got.length), `resume ${turn}`);
      assert.equal(gaps, 0);
    }
    w.note(`${log.length} events; ${last.reduce((sum, l) => sum + l.got.length, 0)} read in ${TIMES} resumes`);
  }, { timeout: 120_000 });
}

story('many clients resume at the same moment into a running publisher', async (w) => {
  const nodes = await w.cluster(2, { node: { set: { history: UNTRIMMED } } });
  const api = w.client(nodes[0]);
  const ids = await api.published('t', events(1, 500));
  let n = 501;
  let go = true;
  const publishing = (async () => {
    while (go) {
      await api.published('t', events(n, n + 9));
      n += 10;
    }
  })();
  publishing.catch(() => {}); // awaited below
  let streams;
  try {
    streams = await Promise.all(Array.from({ length: 60 }, (_, i) => w.follow(nodes[i % 2], 'topic=t', { lastEventId: ids[(i * 7) % 500] })));
    await Promise.all(streams.map((stream) => stream.take(1500)));
  } finally {
    go = false;
    await publishing;
  }
  const log = await w.store.ids('t');
  streams.forEach((stream, i) => {
    stream.cut();
    const from = (i * 7) % 500;
    assert.deepEqual(stream.events.map((e) => e.id), log.slice(from + 1, from + 1 + stream.events.length), `stream ${i}`);
  });
}, { timeout: 120_000 });
