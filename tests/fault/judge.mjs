// The judge: what was acknowledged, what lies in Redis at the end and what each subscriber saw, held against
// docs/guarantees.md. A pure function of the record, so that it can be tested with records that have a fault.
//
// record = {
//   publishes: [{n, topics, outcome: 'acked' | 'unknown', id}]     one for each event; unknown: not answered with 201
//   logs: {topic: [[id, n], ...]}                                   at the end, in the order of the log
//   removed: [{topic, ids}]                                         by an operator, exactly
//   flushes: [{ms, ids}]                                            when, by the clock of Redis, and everything it held
//   cuts: [ms]                                                      when, by that clock, a lone Redis lost its end
//   mayLose: [text]                                                 the disturbances after which Redis may lack events
//   subscribers: [{name, patterns, earliest, trace}]
// }
// trace = [{k: 'connect', cursor}, {k: 'open', id}, {k: 'event', id, topic, n}, {k: 'gap', topic, after, next, reason},
//          {k: 'cut', why}, {k: 'note', type}], in the order in which the subscriber met them.
//
// An event is *kept* (it lies in a log at the end), *removed* (by an operator), or *lost* (by Redis: it was acknowledged or
// delivered, and lies nowhere). Losses cut off the end of a history: what comes after them has higher numbers by a leap
// of 10^9 (a new incarnation), or belongs to the next era, if everything was flushed.

const LEAP = 1e9;
// A place in the order of everything is rank * LEAP + what is left of the seq; a rank is made of era, cut and incarnation.
const CUT_RANKS = 200; // incarnations between two cuts
const ERA_RANKS = 200 * CUT_RANKS;

const flushRank = (era) => (era + 1) * ERA_RANKS - 1; // of a loss that ends the era

export const KINDS = ['missing', 'repeated', 'outOfOrder', 'undetected', 'gapMissing', 'falseGap', 'phantom', 'ackedLost', 'torn', 'twice', 'reused'];

export function parseId(id) {
  const match = /^(\d+)-(\d+)$/.exec(id ?? '');
  return match ? { ms: Number(match[1]), seq: Number(match[2]) } : null;
}

export function covers(pattern, topic) {
  return pattern.endsWith('*') ? topic.startsWith(pattern.slice(0, -1)) : pattern === topic;
}

// Everything that anyone can know of: by id, with its place in the order of all events and what became of it.
class Universe {
  constructor(record, fault) {
    this.record = record;
    this.fault = fault;
    this.flushes = (record.flushes ?? []).map((flush) => ({ ms: flush.ms, ids: new Set(flush.ids) }));
    this.cuts = record.cuts ?? [];
    this.byN = new Map(record.publishes.map((publish) => [publish.n, publish]));
    this.byId = new Map();
    for (const publish of record.publishes) {
      if (publish.outcome === 'acked') this.#see(publish.id, publish.n).acked = true;
    }
    for (const [topic, entries] of Object.entries(record.logs)) {
      for (const [id, n] of entries) this.#see(id, n).kept.add(topic);
    }
    for (const { topic, ids } of record.removed ?? []) {
      for (const id of ids) this.#see(id).removed.add(topic);
    }
    for (const subscriber of record.subscribers) {
      for (const entry of subscriber.trace) if (entry.k === 'event') this.#see(entry.id, entry.n);
    }
    this.#decide();
  }

  #see(id, n) {
    let event = this.byId.get(id);
    if (!event) {
      event = { id, n, kept: new Set(), removed: new Set(), topics: [], acked: false, ...this.place(id) };
      this.byId.set(id, event);
    }
    event.n ??= n;
    if (n !== undefined && event.n !== n) {
      this.fault('reused', { id, text: `${id} is the id of event ${event.n} and of event ${n}` });
    }
    return event;
  }

  // Where an id stands: era and incarnation (together its rank), and its place over all of them.
  place(id) {
    const parsed = parseId(id);
    if (!parsed) return { pos: -1, rank: -1, seq: -1 };
    // Before a flush are the ids it took, and everything older; a clock that is set back is not tried together with a flush.
    const era = this.flushes.filter((flush) => parsed.ms >= flush.ms && !flush.ids.has(id)).length;
    // A cut may take an incarnation from its beginning on; then its number is given again, at a later time.
    const cut = this.cuts.filter((ms) => parsed.ms >= ms).length;
    const rank = era * ERA_RANKS + cut * CUT_RANKS + Math.floor(parsed.seq / LEAP);
    return { pos: rank * LEAP + (parsed.seq % LEAP), rank, seq: parsed.seq };
  }

  #decide() {
    this.survived = new Map(); // rank to the highest place that was not cut off
    this.cutAt = new Map(); // rank to the lowest place that is known to have been cut off
    for (const event of this.byId.values()) {
      event.topics = this.byN.get(event.n)?.topics ?? [...event.kept, ...event.removed];
      const era = Math.floor(event.rank / ERA_RANKS);
      const flushed = this.flushes[era] && (this.flushes[era].ids.has(event.id) || event.removed.size > 0);
      if (event.kept.size > 0) event.fate = 'kept';
      else if (event.removed.size > 0 && !flushed) event.fate = 'removed';
      else event.fate = 'lost';
      if (event.fate !== 'lost') continue;
      event.lossRank = flushed ? flushRank(era) : event.rank;
      if (!flushed) this.cutAt.set(event.rank, Math.min(this.cutAt.get(event.rank) ?? Infinity, event.pos));
    }
    for (const event of this.byId.values()) {
      // Removed, and then its removal was lost together with it.
      if (event.kept.size === 0 && event.removed.size > 0 && event.pos > (this.cutAt.get(event.rank) ?? Infinity)) {
        event.fate = 'lost';
        event.lossRank = event.rank;
      }
      const tail = event.fate === 'lost' && event.lossRank === event.rank;
      if (!tail) this.survived.set(event.rank, Math.max(this.survived.get(event.rank) ?? -1, event.pos));
    }
  }

  // The rank after which everything came after the loss of what this cursor names; undefined: it is not lost.
  lossOf(id) {
    const event = this.byId.get(id);
    if (event) return event.lossRank;
    const { pos, rank, seq } = this.place(id);
    if (pos < 0 || seq % LEAP === 0) return undefined;
    const era = Math.floor(rank / ERA_RANKS);
    if (pos > (this.survived.get(rank) ?? -1) && this.record.mayLose.length > 0) return rank;
    return era < this.flushes.length ? flushRank(era) : undefined;
  }
}

// One subscriber's way through its trace.
class Walk {
  constructor(universe, subscriber, fault, counts) {
    Object.assign(this, { universe, subscriber, counts, patterns: subscriber.patterns, trace: subscriber.trace });
    this.fault = (kind, at, more) => fault(kind, { subscriber: subscriber.name, at, ...more });
    this.seen = new Map(); // id to its index in the trace
    this.lastOf = new Map(); // topic to the place of its newest delivered event
    this.byTopic = new Map(); // topic to [{pos, at}], in the order of delivery
    this.gaps = []; // {topic, reason, at}
    this.highest = -1;
    this.start = subscriber.earliest ? -1 : undefined;
    this.firstHeld = undefined;
    this.heldLost = new Set(); // ranks of lost ids that were delivered or held
    this.pending = new Map(); // topic to the rank of a lost event that was delivered and not yet told
    this.pendingCursor = undefined; // the same for a cursor at a resume
    this.told = new Map(); // topic of a gap to the ranks it was told of
    this.since = new Map(); // gaps since the last connect or event, by text
    this.holes = new Set(); // what was trimmed and told since the last connect or reset: topic and next, by text
    this.again = new Set(); // topics whose gap may be told again: reconnected without an event between
  }

  mine(event) {
    return event.topics.filter((topic) => this.patterns.some((pattern) => covers(pattern, topic)));
  }

  go() {
    this.trace.forEach((entry, at) => {
      if (entry.k === 'event') this.#event(entry, at);
      else if (entry.k === 'gap') this.#gap(entry, at);
      else if (entry.k === 'connect') this.#connect(entry, at);
      else if (entry.k === 'open') this.#open(entry);
    });
    this.#complete();
  }

  #connect(entry) {
    this.holes.clear();
    if (entry.cursor === null || entry.cursor === undefined) return;
    this.counts.resumes++;
    this.again = new Set([...this.since.values()].map((gap) => gap.topic));
    this.since.clear();
    const rank = this.universe.lossOf(entry.cursor);
    if (rank === undefined) return;
    this.heldLost.add(rank);
    if (!this.#toldOf(rank)) this.pendingCursor = rank;
  }

  #hold(id) {
    const rank = this.universe.lossOf(id);
    if (rank !== undefined) this.heldLost.add(rank);
  }

  #toldOf(rank) {
    return [...this.told.values()].some((ranks) => ranks.has(rank));
  }

  #open({ id }) {
    const { pos } = this.universe.place(id);
    if (this.start === undefined) this.start = pos;
    this.firstHeld ??= pos;
    this.#hold(id);
  }

  #event(entry, at) {
    const { universe } = this;
    this.counts.delivered++;
    const event = universe.byId.get(entry.id);
    const published = universe.byN.get(entry.n);
    const mine = this.mine(event);
    if (!published || !published.topics.includes(entry.topic) || mine.length === 0 || event.n !== entry.n) {
      this.fault('phantom', at, {
        id: entry.id, topic: entry.topic, text: `event ${entry.n} was never published to ${entry.topic}, or not to what is followed`,
      });
      return;
    }
    if (this.seen.has(entry.id)) {
      this.fault('repeated', at, { id: entry.id, topic: entry.topic, text: `delivered before, entry ${this.seen.get(entry.id)}` });
      return;
    }
    this.seen.set(entry.id, at);
    this.firstHeld ??= event.pos;
    this.since.clear();
    this.again.clear();

    // What was lost has to be told before anything that came after the loss.
    for (const [topic, rank] of this.pending) {
      if (rank >= event.rank) continue;
      this.pending.delete(topic);
      this.fault('undetected', at, { id: entry.id, topic, text: `a lost event of ${topic} was delivered before, no reset was told` });
    }
    if (this.pendingCursor < event.rank) {
      this.pendingCursor = undefined;
      this.fault('undetected', at, { id: entry.id, topic: entry.topic, text: 'resumed with a cursor beyond what survived, no reset was told' });
    }
    if (event.fate === 'lost') {
      this.heldLost.add(event.lossRank);
      // Told of before, and given more of it by a node that did not know yet: it has to be told again.
      for (const told of this.told.values()) told.delete(event.lossRank);
      for (const topic of mine) this.pending.set(topic, Math.max(event.lossRank, this.pending.get(topic) ?? -1));
    }

    let back = false;
    for (const topic of mine) {
      if (event.pos < (this.lastOf.get(topic) ?? -1)) back = true;
      else this.lastOf.set(topic, event.pos);
      if (!this.byTopic.has(topic)) this.byTopic.set(topic, []);
      this.byTopic.get(topic).push({ pos: event.pos, at });
    }
    if (back) this.fault('outOfOrder', at, { id: entry.id, topic: entry.topic, text: 'a later event of the topic was delivered before' });
    else if (event.pos < this.highest) this.counts.late++;
    this.highest = Math.max(this.highest, event.pos);
  }

  #gap(entry, at) {
    this.counts.gaps[entry.reason] = (this.counts.gaps[entry.reason] ?? 0) + 1;
    const text = JSON.stringify([entry.topic, entry.after, entry.reason]);
    const twice = this.since.has(text) || this.#isOldHole(entry);
    this.since.set(text, entry);
    const again = this.again.delete(entry.topic);
    const wanted = this.patterns.some((pattern) => covers(pattern, entry.topic) || pattern === entry.topic);
    let why;
    if (!wanted) why = 'of a topic that is not followed';
    else if (twice) why = 'told twice on one connection';
    else if (entry.reason === 'reset') why = this.#reset(entry, again);
    else if (entry.reason === 'trimmed') why = this.#trimmed(entry);
    else why = `reason ${entry.reason}`;
    if (why) this.fault('falseGap', at, { id: entry.after, topic: entry.topic, text: `${entry.reason}: ${why}` });
    this.gaps.push({ topic: entry.topic, at });
  }

  // One hole has one event behind it, whatever was delivered of other topics since it was told. Without one, or by a
  // pattern, another may be meant.
  #isOldHole({ topic, next, reason }) {
    if (reason !== 'trimmed') this.holes.clear();
    if (reason !== 'trimmed' || next === null || topic.endsWith('*')) return false;
    const text = JSON.stringify([topic, next]);
    const old = this.holes.has(text);
    this.holes.add(text);
    return old;
  }

  // Justified if something lost was held that this topic was not told of.
  #reset(entry, again) {
    this.#hold(entry.after);
    if (!this.told.has(entry.topic)) this.told.set(entry.topic, new Set());
    const told = this.told.get(entry.topic);
    const news = [...this.heldLost].filter((rank) => !told.has(rank));
    // Later losses may lie in the record already: told of is what its cursor speaks of.
    const upTo = this.universe.lossOf(entry.after) ?? Math.min(...news);
    for (const rank of news) if (rank <= upTo) told.add(rank);
    for (const topic of [...this.pending.keys()]) if (covers(entry.topic, topic)) this.pending.delete(topic);
    this.pendingCursor = undefined;
    return news.length > 0 || again ? null : 'nothing that was seen or held was lost, or it was told before';
  }

  // Justified if an operator removed something that was still to come.
  #trimmed(entry) {
    const { universe } = this;
    for (const { topic, ids } of universe.record.removed ?? []) {
      if (!covers(entry.topic, topic)) continue;
      const reached = Math.max(this.lastOf.get(topic) ?? -1, this.start ?? -1);
      if (ids.some((id) => !this.seen.has(id) && universe.place(id).pos > reached)) return null;
    }
    return 'nothing was removed that was not delivered';
  }

  // Every kept event came; for every removed one that did not come, a gap did.
  #complete() {
    const { universe, subscriber } = this;
    if (this.start === undefined) return; // it never got a stream
    const missing = new Map();
    const unread = new Map();
    for (const event of universe.byId.values()) {
      if (event.fate === 'lost' || event.pos <= this.start || this.seen.has(event.id)) continue;
      const mine = this.mine(event);
      if (mine.length === 0) continue;
      const kept = mine.filter((topic) => event.kept.has(topic) && !event.removed.has(topic));
      const into = kept.length > 0 ? missing : unread;
      const topic = kept[0] ?? mine.find((name) => event.removed.has(name));
      if (topic === undefined || (into === unread && subscriber.earliest && !(event.pos > this.firstHeld))) continue;
      if (!into.has(topic)) into.set(topic, []);
      into.get(topic).push(event);
    }
    for (const [topic, events] of missing) {
      events.sort((a, b) => a.pos - b.pos);
      const first = events[0];
      this.fault('missing', this.#near(topic, first.pos), {
        id: first.id, topic, n: events.length,
        text: `${events.length} kept events never came, ${first.id} to ${events.at(-1).id} (${first.acked ? 'acknowledged' : 'not acknowledged'})`,
      });
    }
    for (const [topic, events] of unread) {
      const untold = events.filter((event) => !this.#toldBetween(topic, event.pos));
      if (untold.length === 0) continue;
      this.fault('gapMissing', this.#near(topic, untold[0].pos), {
        id: untold[0].id, topic,
        text: `${untold.length} events were removed before they came, and no gap was told in time, ${untold[0].id} to ${untold.at(-1).id}`,
      });
    }
  }

  // The entry of the first later event of the topic.
  #near(topic, pos) {
    return this.byTopic.get(topic)?.find((entry) => entry.pos > pos)?.at ?? this.trace.length - 1;
  }

  #toldBetween(topic, pos) {
    let from = -1;
    let to = this.trace.length;
    for (const entry of this.byTopic.get(topic) ?? []) {
      if (entry.pos < pos) from = Math.max(from, entry.at);
      else to = Math.min(to, entry.at);
    }
    return this.gaps.some((gap) => gap.at > from && gap.at < to && covers(gap.topic, topic));
  }
}

export function judge(record) {
  const counts = {
    published: record.publishes.length, acked: 0, unknown: 0, recovered: 0, kept: 0, removed: 0, lost: 0, ackedLost: 0,
    delivered: 0, resumes: 0, late: 0, gaps: {},
  };
  const violations = [];
  const fault = (kind, what) => violations.push({ kind, ...what });
  const universe = new Universe(record, fault);

  for (const publish of record.publishes) counts[publish.outcome]++;
  for (const event of universe.byId.values()) {
    counts[event.fate]++;
    if (event.fate === 'kept' && !event.acked) counts.recovered++;
    const torn = event.fate === 'kept' ? event.topics.filter((topic) => !event.kept.has(topic) && !event.removed.has(topic)) : [];
    for (const topic of torn) fault('torn', { id: event.id, topic, text: `event ${event.n} lies in ${[...event.kept]} and not in ${topic}` });
    if (event.fate !== 'lost') continue;
    if (event.acked) counts.ackedLost++;
    if (record.mayLose.length === 0) {
      fault('ackedLost', {
        id: event.id, topic: event.topics[0],
        text: `event ${event.n} was ${event.acked ? 'acknowledged' : 'delivered'}, lies in no log, and nothing that loses events had happened`,
      });
    }
  }
  // One event, one id: a retry with its key finds the first one.
  for (const [topic, entries] of Object.entries(record.logs)) {
    const ids = new Map();
    let last = -1;
    for (const [id, n] of entries) {
      if (ids.has(n)) fault('twice', { id, topic, text: `event ${n} lies in the log as ${ids.get(n)} and as ${id}` });
      ids.set(n, id);
      const { pos } = universe.place(id);
      if (pos <= last) fault('outOfOrder', { id, topic, text: 'the log itself is not in order' });
      last = pos;
    }
  }
  for (const subscriber of record.subscribers) new Walk(universe, subscriber, fault, counts).go();

  counts.faults = Object.fromEntries(KINDS.map((kind) => [kind, violations.filter((v) => v.kind === kind).length]));
  return { counts, violations };
}
