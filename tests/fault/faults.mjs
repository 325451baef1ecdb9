// The faults. A row says in which setups it can happen, whether Redis may lose events by it, what is drawn from the
// seed beforehand, and how it begins and heals.
//
//   run(round, drawn)   returns when it is healed; the load goes on all the while
import { sleep, until } from '../black/lib/wait.mjs';
import { entries, LOG } from './store.mjs';

const SINGLE = ['always', 'everysec', 'netns', 'clock'];
const PROXIED = ['always', 'everysec', 'clock', 'pair', 'sentinel'];
const ALL = ['always', 'everysec', 'netns', 'clock', 'pair', 'sentinel'];

// Rules of the proxies for a while.
async function ruled(round, rules, ms) {
  for (const proxy of round.setup.proxies) proxy.set(rules);
  await sleep(ms);
  for (const proxy of round.setup.proxies) proxy.heal();
}

function holding(from, to) {
  return (random) => ({ ms: random.between(from, to) });
}

// Waits until `more` further events were acknowledged (or a while has passed): the load went on.
async function acked(round, more) {
  const want = round.acked + more;
  await until(() => round.acked >= want, { what: 'publishes to be acknowledged', ms: 6000 }).catch(() => {});
}

export const FAULTS = {
  // ---- nodes ----
  'node-kill': {
    modes: ALL,
    draw: (random) => ({ node: random.below(100), ms: random.between(50, 1500) }),
    async run(round, { node, ms }) {
      const slot = node % round.nodes.length;
      await round.nodes[slot].kill();
      await sleep(ms);
      await round.startNode(slot);
    },
  },
  'node-term': {
    modes: ALL,
    draw: (random) => ({ node: random.below(100), ms: random.between(0, 500) }),
    async run(round, { node, ms }) {
      const slot = node % round.nodes.length;
      const how = await round.nodes[slot].stop({ ms: 30_000 }).catch((error) => ({ error }));
      if (how.code !== 0) round.problem(`node ${slot} ended with ${JSON.stringify(how)} ${how.error?.message ?? ''} when it was asked to end`);
      await sleep(ms);
      await round.startNode(slot);
    },
  },
  'node-stop': {
    modes: ALL,
    draw: (random) => ({ node: random.below(100), ms: random.between(1000, 5000) }),
    async run(round, { node, ms }) {
      const { program } = round.nodes[node % round.nodes.length];
      program.signal('SIGSTOP');
      await sleep(ms);
      program.signal('SIGCONT');
    },
  },

  // ---- Redis ----
  'redis-kill': {
    modes: SINGLE,
    draw: holding(100, 2000),
    async run(round, { ms }) {
      const store = await round.setup.master();
      await store.kill();
      await sleep(ms);
      await store.restart();
    },
  },
  'redis-stop': {
    modes: [...SINGLE, 'pair'],
    draw: holding(2000, 4000),
    async run(round, { ms }) {
      const store = await round.setup.master();
      store.program.signal('SIGSTOP');
      await sleep(ms);
      store.program.signal('SIGCONT');
    },
  },
  // The machine of Redis loses power: what was not on the disk is gone, to any byte. Redis 7.0 leaves the beginning of a transaction
  // that was cut in two in the file, and would do that part of it when it starts the next time; a rewrite gets rid of it.
  'power-loss': {
    modes: ['everysec'],
    loses: true,
    draw: (random) => ({ part: random.next(), bytes: random.pick([2_000, 20_000, 200_000]), ms: random.between(100, 1000) }),
    async run(round, { part, bytes, ms }) {
      const store = await round.setup.master();
      await acked(round, 30);
      await store.kill();
      round.cuts.push(Date.now());
      const cut = store.loseTail(part, bytes);
      round.say(`    ${cut} bytes of the AOF cut off`);
      await sleep(ms);
      await store.restart();
      await store.rewrite();
    },
  },
  flush: {
    modes: ['always', 'everysec', 'pair'],
    loses: true,
    draw: () => ({}),
    async run(round) {
      const store = await round.setup.master();
      const reads = round.topics.map((topic) => ['XRANGE', LOG + topic, '-', '+']);
      const reply = await store.atomic(...reads, ['FLUSHALL'], ['TIME']);
      const [s, us] = reply.at(-1);
      const ids = [...new Set(reply.slice(0, reads.length).flatMap((log) => entries(log).map(([id]) => id)))];
      round.flushes.push({ ms: Number(s) * 1000 + Math.floor(Number(us) / 1000), ids });
      await round.setup.settle?.();
      store.hold();
    },
  },
  trim: {
    modes: ['always', 'everysec', 'netns', 'pair'],
    draw: (random) => ({ topic: random.below(1000), keep: random.pick([0, 1, 5, 50]) }),
    run: (round, { topic, keep }) => remove(round, topic, (key) => ['XTRIM', key, 'MAXLEN', '=', String(keep)]),
  },
  delete: {
    modes: ['always', 'everysec', 'netns', 'pair'],
    draw: (random) => ({ topic: random.below(1000) }),
    run: (round, { topic }) => remove(round, topic, (key) => ['DEL', key]),
  },

  // ---- live messages ----
  'drop-some': {
    modes: PROXIED,
    draw: (random) => ({ ms: random.between(3000, 6000), chance: random.pick([0.01, 0.05, 0.2]) }),
    run: (round, { ms, chance }) => ruled(round, { drop: chance }, ms),
  },
  'drop-all': {
    modes: PROXIED,
    draw: holding(1000, 1000),
    run: (round, { ms }) => ruled(round, { drop: 1 }, ms),
  },
  'late-messages': {
    modes: PROXIED,
    draw: (random) => ({ ms: random.between(2000, 4000), late: { chance: random.pick([0.02, 0.2]), ms: random.between(20, 800) } }),
    run: (round, { ms, late }) => ruled(round, { late }, ms),
  },

  // ---- connections ----
  'client-kill': {
    modes: ALL,
    draw: (random) => ({ times: random.between(1, 6), first: random.below(2), pauseMs: random.between(50, 500) }),
    async run(round, { times, first, pauseMs }) {
      for (let i = 0; i < times; i++) {
        const store = await round.setup.master();
        await store.cmd('CLIENT', 'KILL', 'TYPE', (first + i) % 2 ? 'normal' : 'pubsub', 'SKIPME', 'yes').catch(() => {});
        await sleep(pauseMs);
      }
    },
  },
  cut: {
    modes: PROXIED,
    draw: (random) => ({ times: random.between(1, 4), pauseMs: random.between(50, 800) }),
    async run(round, { times, pauseMs }) {
      for (let i = 0; i < times; i++) {
        for (const proxy of round.setup.proxies) proxy.cut(['node', 'live']);
        await sleep(pauseMs);
      }
    },
  },
  hole: {
    modes: ['always', 'everysec', 'clock', 'pair'],
    draw: holding(500, 4000),
    run: (round, { ms }) => ruled(round, { hole: true }, ms),
  },
  freeze: {
    modes: ['always', 'everysec', 'clock', 'pair'],
    draw: holding(300, 3000),
    run: (round, { ms }) => ruled(round, { freeze: true }, ms),
  },
  'half-open': {
    modes: ['always', 'everysec', 'clock', 'pair'],
    draw: holding(500, 3000),
    async run(round, { ms }) {
      const ends = round.setup.proxies.map((proxy) => proxy.halfOpen());
      await sleep(ms);
      for (const end of ends) end();
    },
  },
  latency: {
    modes: ['always', 'everysec', 'clock', 'pair'],
    draw: (random) => ({ ms: random.between(2000, 4000), delayMs: random.between(10, 300) }),
    run: (round, { ms, delayMs }) => ruled(round, { delayMs }, ms),
  },
  slice: {
    modes: PROXIED,
    draw: holding(2000, 4000),
    run: (round, { ms }) => ruled(round, { slice: true }, ms),
  },
  partition: {
    modes: ['netns'],
    draw: holding(500, 5000),
    async run(round, { ms }) {
      await round.setup.namespace.partition();
      await sleep(ms);
      await round.setup.namespace.join();
    },
  },
  // The wall clock of Redis and of all nodes jumps, and jumps back.
  'clock-step': {
    modes: ['clock'],
    draw: (random) => ({ ms: random.between(1000, 4000), byMs: random.pick([-3_600_000, -5_000, 5_000, 3_600_000]) }),
    async run(round, { ms, byMs }) {
      round.setup.clock.set(byMs);
      await sleep(ms);
      round.setup.clock.set(0);
    },
  },

  // ---- promotion ----
  // The replica's link is down, the master goes on acknowledging, and then the replica is promoted by hand.
  promote: {
    modes: ['pair'],
    loses: true,
    draw: (random) => ({ lack: random.between(1, 120), kill: random.chance(0.5) }),
    async run(round, { lack, kill }) {
      round.setup.cutLink();
      await acked(round, lack);
      await round.setup.promote({ kill });
    },
  },
  // The same, as Sentinel does it when the master dies.
  'sentinel-kill': {
    modes: ['sentinel'],
    loses: true,
    draw: (random) => ({ lack: random.between(1, 120) }),
    async run(round, { lack }) {
      const { setup } = round;
      const old = await setup.master();
      setup.fronts.get(old).set({ hole: true }, ['link']);
      await acked(round, lack);
      await old.kill();
      setup.fronts.get(old).heal();
      await setup.failedOver(old);
      await old.restart();
      await setup.whole();
    },
  },
  // The master is cut off from Sentinel and its replicas, not from the nodes: it goes on acknowledging what nobody will have.
  'sentinel-partition': {
    modes: ['sentinel'],
    loses: true,
    draw: holding(0, 2000),
    async run(round, { ms }) {
      const { setup } = round;
      const old = await setup.master();
      setup.fronts.get(old).set({ hole: true }, ['link', 'sentinel']);
      await setup.failedOver(old);
      await sleep(ms);
      setup.fronts.get(old).heal();
      await setup.whole();
    },
  },
};

// An operator's command that removes events of a topic, and exactly what it removed.
async function remove(round, topicIndex, command) {
  const store = await round.setup.master();
  const topic = round.topics[topicIndex % round.topics.length];
  const key = LOG + topic;
  const [before, , after] = await store.atomic(['XRANGE', key, '-', '+'], command(key), ['XRANGE', key, '-', '+']);
  const left = new Set(after.map(([id]) => id));
  const ids = before.map(([id]) => id).filter((id) => !left.has(id));
  if (ids.length > 0) round.removed.push({ topic, ids });
  await round.setup.settle?.();
  store.hold();
}

// What happens in a round: drawn from the seed, so the same seed does the same things.
export function plan(random, mode, only, count) {
  const names = Object.keys(FAULTS).filter((name) => FAULTS[name].modes.includes(mode) && (!only || only.includes(name)));
  const steps = [];
  // Each kind once before any comes again; what is special to a setup comes first.
  const special = names.filter((name) => FAULTS[name].modes.length <= 1);
  let queue = [];
  for (let i = 0; i < count && names.length > 0; i++) {
    if (queue.length === 0) queue = random.some(names, names.length);
    const name = i % 3 === 0 && special.length > 0 ? random.pick(special) : queue.shift();
    steps.push({ name, drawn: FAULTS[name].draw(random), restMs: random.between(300, 1500) });
  }
  return steps;
}
