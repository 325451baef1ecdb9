// The judge is judged. A small model makes records in which everything is right, with cuts, trimmed topics, a lost
// tail and a flush; then one thing in them is changed, and the judge has to find exactly that, whichever it is.
import assert from 'node:assert/strict';
import test from 'node:test';
import { judge, covers } from './judge.mjs';
import { violationsText } from './report.mjs';
import { Random } from '../black/lib/random.mjs';

const TOPICS = ['a:1', 'a:2', 'b'];
const FOLLOWED = [['a:1'], ['b'], ['a:1', 'b'], ['a:*'], ['*'], ['a:*', 'b']];

// A fabric that does everything right.
class Model {
  constructor(random) {
    this.random = random;
    this.seq = 0;
    this.ms = 1000;
    this.n = 0;
    this.record = { publishes: [], logs: {}, removed: [], flushes: [], mayLose: [], subscribers: [] };
    for (const topic of TOPICS) this.record.logs[topic] = [];
    FOLLOWED.forEach((patterns, i) => this.record.subscribers.push({ name: `s${i}`, patterns, trace: [], cursor: null, open: false, due: [], reset: false }));
    for (const s of this.record.subscribers) this.connect(s);
  }

  connect(s) {
    s.trace.push({ k: 'connect', cursor: s.cursor });
    s.cursor ??= this.id();
    s.trace.push({ k: 'open', id: s.cursor });
    s.open = true;
  }

  id() {
    return `${this.ms}-${this.seq}`;
  }

  follows(s, topics) {
    return topics.some((topic) => s.patterns.some((p) => covers(p, topic)));
  }

  publish(topics, { outcome = 'acked' } = {}) {
    this.seq++;
    this.ms += this.random.below(3);
    const event = { n: ++this.n, id: this.id(), topics };
    this.record.publishes.push({ n: event.n, topics, outcome, id: outcome === 'acked' ? event.id : undefined });
    for (const topic of topics) this.record.logs[topic].push([event.id, event.n]);
    for (const s of this.record.subscribers) {
      if (this.follows(s, topics)) s.due.push({ k: 'event', id: event.id, topic: topics[0], n: event.n });
    }
  }

  deliver(s) {
    if (!s.open) this.connect(s);
    for (const entry of s.due.splice(0)) {
      if (entry.k === 'event' && entry.gone) continue;
      s.trace.push(entry);
      if (entry.k === 'event') s.cursor = entry.id;
    }
  }

  deliverAll() {
    for (const s of this.record.subscribers) this.deliver(s);
  }

  cut(s) {
    s.trace.push({ k: 'cut', why: 'chance' });
    s.open = false;
  }

  // An operator empties a topic: who has not read yet is told.
  trim(topic) {
    const ids = this.record.logs[topic].splice(0).map(([id]) => id);
    if (ids.length === 0) return;
    this.record.removed.push({ topic, ids });
    for (const s of this.record.subscribers) {
      const unread = s.due.filter((e) => e.k === 'event' && e.topic === topic && ids.includes(e.id));
      if (unread.length === 0) continue;
      const at = s.due.indexOf(unread[0]);
      const already = s.due.some((e) => e.k === 'gap' && e.topic === topic); // nothing of it can stand behind that one
      if (!already) s.due.splice(at, 0, { k: 'gap', topic, after: s.cursor, next: null, reason: 'trimmed' });
      s.due = s.due.filter((e) => !unread.includes(e));
    }
  }

  resets(s) {
    for (const topic of s.patterns) s.due.push({ k: 'gap', topic, after: s.cursor, next: null, reason: 'reset' });
  }

  // The last events of the history go. Who was given one of them is told.
  lose(count) {
    const here = (id) => Math.floor(seqOf(id) / 1e9) === Math.floor(this.seq / 1e9);
    const ids = [...new Set(Object.values(this.record.logs).flat().map(([id]) => id))].filter(here);
    const last = new Set(ids.sort((x, y) => seqOf(x) - seqOf(y)).slice(-count));
    if (last.size === 0) return;
    this.record.mayLose.push('lost a tail');
    for (const topic of TOPICS) this.record.logs[topic] = this.record.logs[topic].filter(([id]) => !last.has(id));
    for (const s of this.record.subscribers) {
      s.due = s.due.filter((e) => !last.has(e.id));
      if (here(s.cursor) && seqOf(s.cursor) >= Math.min(...[...last].map(seqOf))) this.resets(s);
    }
    this.seq = (Math.floor(this.seq / 1e9) + 1) * 1e9;
  }

  flush() {
    const ids = [...new Set(Object.values(this.record.logs).flat().map(([id]) => id))];
    this.ms += 10;
    this.record.flushes.push({ ms: this.ms, ids });
    this.record.mayLose.push('flush');
    for (const topic of TOPICS) this.record.logs[topic] = [];
    for (const s of this.record.subscribers) {
      s.due = [];
      this.resets(s);
    }
    this.seq = 0;
  }
}

const seqOf = (id) => Number(id.split('-')[1]);

function rightRecord(seed, { losses = true } = {}) {
  const random = new Random(seed);
  const model = new Model(random);
  const steps = random.between(60, 120);
  for (let i = 0; i < steps; i++) {
    const dice = random.next();
    if (dice < 0.6) model.publish([random.pick(TOPICS)], { outcome: random.chance(0.9) ? 'acked' : 'unknown' });
    else if (dice < 0.63) model.publish(['a:1', 'b']);
    else if (dice < 0.85) model.deliver(random.pick(model.record.subscribers));
    else if (dice < 0.92) model.cut(random.pick(model.record.subscribers));
    else if (dice < 0.95) model.trim('a:2');
    else if (losses && dice < 0.97) {
      model.publish(['b']);
      model.lose(random.between(1, 5));
      for (const topic of TOPICS) model.publish([topic]);
      model.deliverAll();
    } else if (losses && dice < 0.98) {
      for (const topic of TOPICS) model.publish([topic]);
      model.deliverAll();
      model.flush();
      for (const topic of TOPICS) model.publish([topic]);
      model.deliverAll();
    }
  }
  for (const topic of TOPICS) model.publish([topic]);
  model.deliverAll();
  return { record: model.record, random };
}

function kinds(record) {
  return [...new Set(judge(record).violations.map((v) => v.kind))];
}

// Every (trace, index) at which look(entry, trace, i) is true.
function places(record, look) {
  return record.subscribers.flatMap((s) => s.trace.map((entry, i) => ({ s, trace: s.trace, entry, i })).filter((p) => look(p.entry, p.trace, p.i)));
}

const fateOf = (record) => {
  const kept = new Set(Object.values(record.logs).flat().map(([id]) => id));
  return (id) => (kept.has(id) ? 'kept' : 'gone');
};

const SEEDS = 150;

test('records in which everything is right', () => {
  const total = { delivered: 0, resumes: 0, lost: 0, removed: 0, recovered: 0, trimmed: 0, reset: 0 };
  for (let seed = 1; seed <= SEEDS; seed++) {
    const { record } = rightRecord(seed);
    const { counts, violations } = judge(record);
    assert.deepEqual(violations, [], `seed ${seed}\n${violationsText(record, violations)}`);
    for (const key of ['delivered', 'resumes', 'lost', 'removed', 'recovered']) total[key] += counts[key];
    for (const key of ['trimmed', 'reset']) total[key] += counts.gaps[key] ?? 0;
  }
  for (const [key, n] of Object.entries(total)) assert.ok(n > SEEDS / 4, `the model makes enough of: ${key} ${n}`);
});

// Each mutation says which kinds must be found: at least one of `finds`, in every record in which it applies.
function mutation(title, mutate, { finds, losses = true, applies = SEEDS / 3 }) {
  test(`found: ${title}`, () => {
    let applied = 0;
    for (let seed = 1; seed <= SEEDS; seed++) {
      const { record, random } = rightRecord(seed, { losses });
      const what = mutate(record, random);
      if (!what) continue;
      applied++;
      const found = kinds(record);
      assert.ok(finds.some((kind) => found.includes(kind)), `seed ${seed}: ${JSON.stringify(what)}: found ${found.join(', ') || 'nothing'}`);
    }
    assert.ok(applied >= applies, `it applied only ${applied} times`);
  });
}

function oneOf(random, list) {
  return list.length === 0 ? null : random.pick(list);
}

mutation('a kept event that did not come', (record, random) => {
  const fate = fateOf(record);
  const place = oneOf(random, places(record, (e) => e.k === 'event' && fate(e.id) === 'kept'));
  place?.trace.splice(place.i, 1);
  return place?.entry;
}, { finds: ['missing'] });

mutation('the last event did not come', (record) => {
  const { trace } = record.subscribers[4];
  return trace.pop();
}, { finds: ['missing'] });

mutation('an event that came twice', (record, random) => {
  const place = oneOf(random, places(record, (e) => e.k === 'event'));
  if (!place) return null;
  place.trace.splice(random.between(place.i + 1, place.trace.length), 0, { ...place.entry });
  return place.entry;
}, { finds: ['repeated'] });

mutation('two events of a topic the wrong way round', (record, random) => {
  const fate = fateOf(record);
  const place = oneOf(random, places(record, (e, trace, i) => {
    const next = trace[i + 1];
    return e.k === 'event' && next?.k === 'event' && e.topic === next.topic && fate(e.id) === 'kept' && fate(next.id) === 'kept';
  }));
  if (!place) return null;
  [place.trace[place.i], place.trace[place.i + 1]] = [place.trace[place.i + 1], place.trace[place.i]];
  return place.entry;
}, { finds: ['outOfOrder'] });

// A trimmed gap that no other one makes up for: between the same two events of its topic there is none.
function lonely(entry, trace, i) {
  if (entry.k !== 'gap' || entry.reason !== 'trimmed') return false;
  const others = trace.map((e, at) => ({ e, at })).filter(({ e }) => e.topic === entry.topic && (e.k === 'event' || e.k === 'gap'));
  const here = others.findIndex(({ at }) => at === i);
  return others[here - 1]?.e.k !== 'gap' && others[here + 1]?.e.k === 'event';
}

mutation('a trimmed gap that was not told', (record, random) => {
  const place = oneOf(random, places(record, lonely));
  place?.trace.splice(place.i, 1);
  return place?.entry;
}, { finds: ['gapMissing'], losses: false });

mutation('a trimmed gap told too late', (record, random) => {
  const place = oneOf(random, places(record, lonely));
  if (!place) return null;
  const [gap] = place.trace.splice(place.i, 1);
  const later = place.trace.findIndex((x, k) => k >= place.i && x.k === 'event' && x.topic === gap.topic);
  place.trace.splice(later + 1, 0, gap);
  return gap;
}, { finds: ['gapMissing', 'falseGap'], losses: false });

// The first reset of a subscriber with one pattern, so that no other one tells the same.
const onlyReset = (record) => {
  for (const s of record.subscribers) {
    if (s.patterns.length > 1) continue;
    const resets = s.trace.map((e, i) => ({ e, i })).filter(({ e }) => e.k === 'gap' && e.reason === 'reset');
    const heldLost = s.trace.some((e) => e.k === 'event' && fateOf(record)(e.id) === 'gone' && !record.removed.some((r) => r.ids.includes(e.id)));
    if (resets.length === 1 && heldLost) return { trace: s.trace, i: resets[0].i, entry: resets[0].e };
  }
  return null;
};

mutation('a loss that was not told', (record) => {
  const place = onlyReset(record);
  place?.trace.splice(place.i, 1);
  return place?.entry;
}, { finds: ['undetected'], applies: SEEDS / 4 });

mutation('a loss told after a later event', (record) => {
  const place = onlyReset(record);
  if (!place) return null;
  const [gap] = place.trace.splice(place.i, 1);
  const later = place.trace.findIndex((x, k) => k >= place.i && x.k === 'event');
  place.trace.splice(later + 1, 0, gap);
  return gap;
}, { finds: ['undetected'], applies: SEEDS / 4 });

mutation('a loss told for another topic', (record) => {
  const place = onlyReset(record);
  if (!place) return null;
  place.entry.topic = 'other';
  return place.entry;
}, { finds: ['undetected', 'falseGap'], applies: SEEDS / 4 });

mutation('a trimmed gap without a cause', (record, random) => {
  const s = oneOf(random, record.subscribers.filter((x) => x.patterns.every((p) => !covers(p, 'a:2'))));
  s.trace.splice(random.between(2, s.trace.length), 0, { k: 'gap', topic: s.patterns[0], after: '1-0', next: null, reason: 'trimmed' });
  return s.name;
}, { finds: ['falseGap'] });

mutation('a reset without a cause', (record, random) => {
  const s = oneOf(random, record.subscribers);
  s.trace.splice(random.between(2, s.trace.length), 0, { k: 'gap', topic: s.patterns[0], after: s.trace[1].id, next: null, reason: 'reset' });
  return s.name;
}, { finds: ['falseGap'], losses: false });

mutation('a gap told twice', (record, random) => {
  const place = oneOf(random, places(record, (e) => e.k === 'gap'));
  place?.trace.splice(place.i + 1, 0, { ...place.entry });
  return place?.entry;
}, { finds: ['falseGap'] });

mutation('an event that nobody published', (record, random) => {
  const s = random.pick(record.subscribers);
  s.trace.push({ k: 'event', id: '999999-999999', topic: s.patterns[0], n: 1_000_000 });
  return s.name;
}, { finds: ['phantom'] });

mutation('an event of a topic that is not followed', (record, random) => {
  const place = oneOf(random, places(record, (e) => e.k === 'event' && e.topic === 'b'));
  if (!place) return null;
  const other = record.subscribers.find((s) => s.patterns[0] === 'a:1' && s.patterns.length === 1);
  if (record.publishes.find((p) => p.n === place.entry.n).topics.length > 1) return null;
  other.trace.push({ ...place.entry });
  return place.entry;
}, { finds: ['phantom'] });

mutation('an acknowledged event that is in no log, though nothing loses events', (record, random) => {
  const topic = random.pick(TOPICS);
  if (record.logs[topic].length === 0) return null;
  const [gone] = record.logs[topic].splice(random.below(record.logs[topic].length), 1);
  if (!record.publishes.some((p) => p.id === gone[0])) return null;
  return gone;
}, { finds: ['ackedLost', 'torn'], losses: false });

mutation('an event that lies in the log twice', (record, random) => {
  const topic = random.pick(TOPICS);
  const log = record.logs[topic];
  if (log.length === 0) return null;
  log.push([`${99999}-${Math.floor(seqOf(log.at(-1)[0]) / 1e9) * 1e9 + 999_999}`, log[0][1]]);
  return log[0];
}, { finds: ['twice'] });

mutation('an id given to two events', (record, random) => {
  const topic = random.pick(TOPICS);
  if (record.logs[topic].length === 0) return null;
  const [id] = random.pick(record.logs[topic]);
  record.publishes.push({ n: 1_000_000, topics: [topic], outcome: 'acked', id });
  return id;
}, { finds: ['reused'] });

test('a subscriber that was cut before its loss is told on resume, by its cursor alone', () => {
  // Its cursor comes from weft.open and is the id of an event of another topic, which is lost.
  const record = {
    publishes: [
      { n: 1, topics: ['x'], outcome: 'acked', id: '10-1' },
      { n: 2, topics: ['y'], outcome: 'acked', id: '20-2' },
      { n: 3, topics: ['x'], outcome: 'acked', id: '30-1000000001' },
    ],
    logs: { x: [['10-1', 1], ['30-1000000001', 3]], y: [] },
    removed: [], flushes: [], mayLose: ['promotion'],
    subscribers: [{
      name: 's', patterns: ['x'],
      trace: [{ k: 'connect', cursor: null }, { k: 'open', id: '20-2' }, { k: 'cut' }, { k: 'connect', cursor: '20-2' }, { k: 'open', id: '20-2' },
        { k: 'gap', topic: 'x', after: '20-2', next: '30-1000000001', reason: 'reset' }, { k: 'event', id: '30-1000000001', topic: 'x', n: 3 }],
    }],
  };
  assert.deepEqual(kinds(record), []);
  record.subscribers[0].trace.splice(5, 1);
  assert.deepEqual(kinds(record), ['undetected']);
});

test('who is given more of a lost history after it was told is told again, and only then', () => {
  const lost = [1, 2, 3].map((n) => ({ n, topics: ['x'], outcome: 'acked', id: `${n}-${n}` }));
  const kept = { n: 4, topics: ['x'], outcome: 'acked', id: '9-1000000001' };
  const seen = ({ n, id }) => ({ k: 'event', id, topic: 'x', n });
  const reset = (after) => ({ k: 'gap', topic: 'x', after, next: null, reason: 'reset' });
  const record = (trace) => ({
    publishes: [...lost, kept], logs: { x: [[kept.id, 4]] }, removed: [], flushes: [], mayLose: ['partition'],
    subscribers: [{ name: 's', patterns: ['x'], trace: [{ k: 'connect', cursor: null }, { k: 'open', id: '1-0' }, ...trace] }],
  });
  const again = { k: 'connect', cursor: '2-2' };
  assert.deepEqual(kinds(record([seen(lost[0]), seen(lost[1]), reset('2-2'), again, seen(lost[2]), reset('3-3'), seen(kept)])), []);
  assert.deepEqual(kinds(record([seen(lost[0]), seen(lost[1]), reset('2-2'), again, seen(lost[2]), seen(kept)])), ['undetected']);
  assert.deepEqual(kinds(record([seen(lost[0]), seen(lost[1]), reset('2-2'), seen(kept), reset('2-2')])), ['falseGap']);
});

test('a hole that is told again after events of other topics is told twice', () => {
  const seen = (n, topic) => ({ k: 'event', id: `${n}-${n}`, topic, n });
  const gap = (after, next) => ({ k: 'gap', topic: 'y', after, next, reason: 'trimmed' });
  const open = { k: 'open', id: '0-0' };
  const record = (trace) => ({
    publishes: [1, 2, 3, 4, 5, 6].map((n) => ({ n, topics: [n < 3 ? 'x' : 'y'], outcome: 'acked', id: `${n}-${n}` })),
    logs: { x: [['1-1', 1], ['2-2', 2]], y: [['6-6', 6]] },
    removed: [{ topic: 'y', ids: ['3-3', '4-4', '5-5'] }], flushes: [], mayLose: [],
    subscribers: [{ name: 's', patterns: ['x', 'y'], trace: [{ k: 'connect', cursor: null }, open, ...trace] }],
  });
  assert.deepEqual(kinds(record([gap('0-0', '6-6'), seen(1, 'x'), seen(2, 'x'), seen(6, 'y')])), []);
  assert.deepEqual(kinds(record([gap('0-0', '6-6'), seen(1, 'x'), gap('1-1', '6-6'), seen(2, 'x'), seen(6, 'y')])), ['falseGap']);
  // More was removed meanwhile; and on another connection it is told to whoever is there now.
  assert.deepEqual(kinds(record([gap('0-0', '5-5'), seen(1, 'x'), gap('1-1', '6-6'), seen(2, 'x'), seen(6, 'y')])), []);
  assert.deepEqual(kinds(record([gap('0-0', '6-6'), seen(1, 'x'), { k: 'cut' }, { k: 'connect', cursor: '1-1' }, open,
    gap('1-1', '6-6'), seen(2, 'x'), seen(6, 'y')])), []);
});

test('a late event is counted, not condemned', () => {
  const record = {
    publishes: [{ n: 1, topics: ['x'], outcome: 'acked', id: '10-1' }, { n: 2, topics: ['y'], outcome: 'acked', id: '10-2' }],
    logs: { x: [['10-1', 1]], y: [['10-2', 2]] },
    removed: [], flushes: [], mayLose: [],
    subscribers: [{
      name: 's', patterns: ['x', 'y'],
      trace: [{ k: 'connect', cursor: null }, { k: 'open', id: '1-0' }, { k: 'event', id: '10-2', topic: 'y', n: 2 }, { k: 'event', id: '10-1', topic: 'x', n: 1 }],
    }],
  };
  const { counts, violations } = judge(record);
  assert.deepEqual(violations, []);
  assert.equal(counts.late, 1);
});
