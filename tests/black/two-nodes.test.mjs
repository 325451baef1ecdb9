// The whole promise at once. Two nodes on one Redis, 200 subscribers on 20 topics, every fourth of them on several
// topics or a wildcard, and 20,000 events at full speed. Every subscriber is cut again and again, at random,
// and resumes on a random node. None may lose, repeat or reorder a single event.   @slow
import assert from 'node:assert/strict';
import { story } from './lib/story.mjs';
import { QUICK, until } from './lib/wait.mjs';

const EVENTS = QUICK ? 2_000 : 20_000;
const SUBSCRIBERS = 200;
const TOPICS = Array.from({ length: 20 }, (_, i) => `${i < 10 ? 'repo' : 'session'}:${i}`);

// Comes back with its cursor whenever it is cut. Keeps numbers only, since there are very many events.
class Subscriber {
  constructor(w, random, nodes, patterns) {
    Object.assign(this, { w, random, nodes, patterns, seqs: [], gaps: 0, cuts: 0, over: false });
    this.query = patterns.map((p) => `topic=${p}`).join('&');
  }

  async start() {
    await this.#connect(undefined);
    return this;
  }

  async #connect(cursor) {
    const stream = this.w.stream(this.random.pick(this.nodes), this.query, {
      lastEventId: cursor,
      keep: false,
      onEvent: (entry, control) => this.#take(entry, control),
    });
    this.stream = stream;
    this.left = this.random.between(1, 400);
    await stream.open();
    this.cursor ??= stream.all[0].id;
  }

  #take(entry, control) {
    if (this.stuck) return;
    if (entry.id !== undefined) this.cursor = entry.id;
    if (control) {
      if (entry.type === 'weft.gap') this.gaps++;
      return;
    }
    this.seqs.push(Number(entry.id.split('-')[1]));
    if (this.over || --this.left > 0) return;
    // Whatever this connection still holds in its buffers is not looked at any more.
    this.stuck = true;
    const cut = this.stream;
    setImmediate(() => {
      cut.cut();
      this.cuts++;
      this.stuck = false;
      this.#connect(this.cursor).catch((error) => {
        this.error = error;
      });
    });
  }
}

story(`${SUBSCRIBERS} subscribers, ${TOPICS.length} topics, ${EVENTS} events, random cuts, two nodes`, async (w) => {
  const random = w.random();
  const nodes = await w.cluster(2, { node: { set: { history: { max_events: 0 } } } });
  const clients = nodes.map((node) => w.client(node));
  const subscribers = [];
  for (let i = 0; i < SUBSCRIBERS; i++) {
    let patterns = [TOPICS[i % TOPICS.length]];
    if (i % 4 === 3) patterns = i % 8 === 3 ? random.some(TOPICS, random.between(2, 5)) : [random.pick(['repo:*', 'session:*', 'repo:1*', 'session:1*'])];
    if (i === 7) patterns = ['*'];
    subscribers.push(new Subscriber(w, random, nodes, patterns));
  }
  await Promise.all(subscribers.map((s) => s.start()));

  const started = Date.now();
  const byTopic = new Map(TOPICS.map((topic) => [topic, []]));
  let n = 0;
  await Promise.all(
    Array.from({ length: 8 }, async (_, writer) => {
      const api = clients[writer % 2];
      while (n < EVENTS) {
        const size = Math.min(EVENTS - n, random.pick([1, 1, 1, 2, 8, 32]));
        const batch = Array.from({ length: size }, () => ({ type: 'test.counted', payload: { n: n++ }, topics: [random.pick(TOPICS)] }));
        const ids = await api.published('unused', batch);
        batch.forEach((made, i) => byTopic.get(made.topics[0]).push(Number(ids[i].split('-')[1])));
      }
    }),
  );
  const publishedMs = Date.now() - started;

  let deliveries = 0;
  for (const s of subscribers) {
    const wanted = TOPICS.filter((topic) => s.patterns.some((p) => (p.endsWith('*') ? topic.startsWith(p.slice(0, -1)) : p === topic)));
    s.expected = wanted.flatMap((topic) => byTopic.get(topic)).sort((a, b) => a - b);
    deliveries += s.expected.length;
  }
  await until(() => {
    for (const s of subscribers) if (s.error) throw s.error;
    return subscribers.every((s) => s.seqs.length >= s.expected.length);
  }, { what: 'every subscriber to have everything', ms: 120_000, every: 50 }).catch((error) => w.note(`${error.message}: ${error.cause ?? ''}`));
  w.note(`${EVENTS} events published in ${publishedMs} ms, ${deliveries} deliveries in ${Date.now() - started} ms, ${subscribers.reduce((sum, s) => sum + s.cuts, 0)} cuts`);

  const total = { lost: 0, repeated: 0, unordered: 0, unexpected: 0, gaps: 0 };
  const wrong = [];
  for (const [i, s] of subscribers.entries()) {
    const seen = new Set(s.seqs);
    const expected = new Set(s.expected);
    const lost = s.expected.filter((seq) => !seen.has(seq)).length;
    const repeated = s.seqs.length - seen.size;
    const unordered = s.seqs.filter((seq, k) => k > 0 && seq < s.seqs[k - 1]).length;
    const unexpected = [...seen].filter((seq) => !expected.has(seq)).length;
    total.lost += lost;
    total.repeated += repeated;
    total.unordered += unordered;
    total.unexpected += unexpected;
    total.gaps += s.gaps;
    if (lost + repeated + unordered + unexpected + s.gaps > 0) {
      wrong.push(`subscriber ${i} (${s.query}): ${lost} lost, ${repeated} repeated, ${unordered} out of order, ${unexpected} unexpected, ${s.gaps} gaps`);
    }
  }
  assert.deepEqual(wrong, []);
  assert.deepEqual(total, { lost: 0, repeated: 0, unordered: 0, unexpected: 0, gaps: 0 });
  const cuts = subscribers.reduce((sum, s) => sum + s.cuts, 0);
  assert.ok(cuts > SUBSCRIBERS / 2, `only ${cuts} cuts`);
}, { timeout: 240_000 });
